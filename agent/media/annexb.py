"""H.264 as bytes: NAL units, Annex B, AVCC (ISO/IEC 14496-15), and access units that a viewer can start on."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from agent.media.access_unit import AccessUnit

# nal_unit_type, H.264 table 7-1
SLICE = 1
IDR = 5
SEI = 6
SPS = 7
PPS = 8
DELIMITER = 9
FILLER = 12


class MalformedH264(ValueError):
    """The bytes are not the H.264 they claim to be; the message says where it breaks."""


def nal_units(data: bytes) -> Iterator[bytes]:
    """Split Annex B into NAL units without their start codes (H.264 annex B.1). Errors: MalformedH264."""
    start = data.find(b"\x00\x00\x01")
    if start < 0 or data[:start].strip(b"\x00"):
        raise MalformedH264("no start code stands at the beginning, so this is not Annex B")
    while start >= 0:
        begin = start + 3
        start = data.find(b"\x00\x00\x01", begin)
        # A NAL unit never ends in a zero byte (7.4.1): what does is padding, or the next start code's first.
        unit = data[begin : start if start >= 0 else len(data)].rstrip(b"\x00")
        yield _checked(unit, begin)


@dataclass(frozen=True, slots=True, kw_only=True)
class AvcConfig:
    """What an avcC record says: the bytes a length takes, and the SPS and PPS (14496-15, 5.3.3.1)."""

    length_bytes: int
    parameter_sets: tuple[bytes, ...]


def avc_config(extradata: bytes) -> AvcConfig:
    """Read the avcC record of an MP4 or Matroska track. Errors: MalformedH264."""
    if len(extradata) < 7 or extradata[0] != 1:
        raise MalformedH264("the avcC record is cut short or of an unknown version")
    sets: list[bytes] = []
    at = 5
    for mask in (0x1F, 0xFF):  # how many SPS, in five bits, then how many PPS
        if at >= len(extradata):
            raise MalformedH264("the avcC record ends before its parameter sets do")
        count, at = extradata[at] & mask, at + 1
        for _ in range(count):
            unit, at = _prefixed(extradata, at, 2)
            sets.append(unit)
    return AvcConfig(length_bytes=(extradata[4] & 3) + 1, parameter_sets=tuple(sets))


def avcc_units(sample: bytes, length_bytes: int) -> list[bytes]:
    """Split a sample of length-prefixed NAL units (14496-15, 5.3.4.2). Errors: MalformedH264."""
    units: list[bytes] = []
    at = 0
    while at < len(sample):
        unit, at = _prefixed(sample, at, length_bytes)
        units.append(unit)
    return units


def nal_type(unit: bytes) -> int:
    """Say the nal_unit_type of a NAL unit (H.264 7.3.1)."""
    return unit[0] & 0x1F


def is_b_slice(unit: bytes) -> bool:
    """Say whether a slice is bidirectional, that is of slice_type 1 or 6 (H.264 table 7-6)."""
    if nal_type(unit) != SLICE:
        return False
    # Of macroblock 0 on and of slice_type 0 or 5, as nearly all are: their bits are 1 1, or 1 00110.
    if len(unit) > 1 and (unit[1] >> 6 == 0b11 or unit[1] >> 2 == 0b100110):
        return False
    first_macroblock_and_type = _golomb(unit, 1, 2)
    return first_macroblock_and_type[1] % 5 == 1


class Assembler:
    """Makes access units of one stream's NAL units, the kind that a viewer can start on.

    It keeps the latest SPS and PPS and puts them before each IDR that lacks them, leaves out delimiters and
    filler, keeps `pts_us` strictly rising, and holds back everything before the first complete IDR.
    """

    def __init__(self, parameter_sets: Iterable[bytes] = ()) -> None:
        self._sets: dict[tuple[int, int], bytes] = {}
        self._last_pts_us: int | None = None
        for unit in parameter_sets:
            self._keep(unit)

    def access_unit(self, units: Iterable[bytes], pts_us: int) -> AccessUnit | None:
        """Make one picture's access unit, or None where there is none to show. Errors: MalformedH264."""
        rest: list[bytes] = []
        picture = keyframe = False
        for unit in units:
            kind = nal_type(unit)
            if kind in (SPS, PPS):
                self._keep(unit)
            elif kind not in (DELIMITER, FILLER):
                rest.append(unit)
                picture = picture or SLICE <= kind <= IDR
                keyframe = keyframe or kind == IDR
        if keyframe and {kind for kind, _ in self._sets} != {SPS, PPS}:
            return None
        if not picture or (self._last_pts_us is None and not keyframe):
            return None
        if self._last_pts_us is not None:
            pts_us = max(pts_us, self._last_pts_us + 1)
        self._last_pts_us = pts_us
        if keyframe:
            rest = [*(self._sets[key] for key in sorted(self._sets)), *rest]
        return AccessUnit(units=tuple(rest), pts_us=pts_us, keyframe=keyframe)

    def _keep(self, unit: bytes) -> None:
        # A PPS begins with its own number, an SPS with three bytes of profile and level (7.3.2.1, 7.3.2.2).
        kind = nal_type(unit)
        self._sets[kind, _golomb(unit, 4 if kind == SPS else 1, 1)[0]] = unit


def _prefixed(data: bytes, at: int, length_bytes: int) -> tuple[bytes, int]:
    begin = at + length_bytes
    end = begin + int.from_bytes(data[at:begin], "big")
    if begin > len(data) or end > len(data):
        raise MalformedH264(f"a NAL unit at byte {at} reaches beyond its {len(data)} bytes")
    return _checked(data[begin:end], begin), end


def _checked(unit: bytes, at: int) -> bytes:
    if not unit:
        raise MalformedH264(f"an empty NAL unit at byte {at}")
    if unit[0] & 0x80:
        raise MalformedH264(f"the forbidden bit is set in the NAL unit at byte {at}")
    return unit


def _golomb(unit: bytes, begin: int, count: int) -> list[int]:
    """Read `count` unsigned Exp-Golomb numbers from byte `begin` on (H.264 9.1)."""
    # Sixteen bytes hold any two of them; emulation prevention (7.4.1.1) is undone first.
    head = unit[: begin + 16].replace(b"\x00\x00\x03", b"\x00\x00")[begin:]
    bits, left = int.from_bytes(head, "big"), 8 * len(head)
    numbers = []
    for _ in range(count):
        left -= 2 * (left - bits.bit_length()) + 1  # as many zeros as bits that follow the first one
        if left < 0:
            raise MalformedH264("a NAL unit is cut off in its header")
        numbers.append((bits >> left) - 1)
        bits &= (1 << left) - 1
    return numbers

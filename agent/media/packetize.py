"""H.264 access units as RTP payloads (RFC 6184, packetization-mode 1), cut once for all viewers."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from agent.media import annexb
from agent.media.access_unit import AccessUnit, StreamName

MAX_PAYLOAD: Final = 1180
"""Bytes of an RTP payload. With header, extensions and SRTP tag a datagram stays under 1232, so that it fits
IPv6's smallest MTU (RFC 8200, section 5) and the few bytes that TURN adds."""

MOST_IN_BURST: Final = 48
"""Packets of one burst: 64 is the kernel's limit for UDP_SEGMENT, and 65,507 bytes that of a datagram."""

_STAP_A: Final = 24
_FU_A: Final = 28
_START, _END = 0x80, 0x40  # of the FU header (section 5.8)
_NRI_AND_F: Final = 0xE0
_IN_STAP: Final = frozenset({annexb.SEI, annexb.SPS, annexb.PPS})
_FU_HEADS: Final = [
    [bytes((header & _NRI_AND_F | _FU_A, header & 0x1F | flag)) for flag in (_START, 0, _END)] for header in range(256)
]
"""What the first fragment of a NAL unit begins with, those between and the last, by the NAL unit's first byte."""


Burst = tuple[list[bytes], list[bytes]]
"""Consecutive payloads of one size, but for the last, which may be shorter: what one system call can send.

Each is a head and a body, which are joined only where the whole packet is: there are the heads, and as many bodies.
"""


class Packetized:
    """An access unit for RTP: `timestamp` is RTP's, `captured_at` and `published_at` are monotonic seconds.

    `images` keeps what `rtp.images` made of it, by layout.
    """

    __slots__ = ("captured_at", "images", "published_at", "stream", "timestamp", "unit")

    # Written out: what a dataclass makes cannot be compiled.
    def __init__(self, unit: AccessUnit, timestamp: int, captured_at: float, published_at: float) -> None:
        self.unit = unit
        self.stream: StreamName = unit.stream
        self.timestamp = timestamp
        self.captured_at = captured_at
        self.published_at = published_at
        self.images: dict[Any, list[Any]] = {}


def bursts(units: Iterable[bytes]) -> list[Burst]:
    """Cut NAL units into payloads: STAP-A for parameter sets, FU-A for what is large."""
    made: list[Burst] = []
    small: list[bytes] = []
    for unit in units:
        is_small = len(unit) <= MAX_PAYLOAD
        if is_small and annexb.nal_type(unit) in _IN_STAP and _stap_size([*small, unit]) <= MAX_PAYLOAD:
            small.append(unit)
            continue
        if small:
            made.append(_aggregated(small))
            small = []
        if is_small:
            made.append(_whole(unit))
        else:
            made += _fragments(unit)
    if small:
        made.append(_aggregated(small))
    return made


def _stap_size(units: list[bytes]) -> int:
    return 1 + sum(2 + len(unit) for unit in units)


def _whole(payload: bytes) -> Burst:
    return [b""], [payload]


def _aggregated(units: list[bytes]) -> Burst:
    """Make a STAP-A (section 5.7.1); a single unit stays as it is."""
    if len(units) == 1:
        return _whole(units[0])
    # F is set when any has it, and NRI is the highest of all (section 5.3).
    header = max(unit[0] & _NRI_AND_F for unit in units) | _STAP_A
    return _whole(bytes([header]) + b"".join([len(unit).to_bytes(2, "big") + unit for unit in units]))


def _fragments(unit: bytes) -> list[Burst]:
    """Make FU-As (section 5.8), all of MAX_PAYLOAD bytes but the last."""
    step = MAX_PAYLOAD - 2
    bodies = [unit[begin : begin + step] for begin in range(1, len(unit), step)]
    first, middle, last = _FU_HEADS[unit[0]]
    heads = [middle] * len(bodies)
    heads[0], heads[-1] = first, last
    if len(bodies) <= MOST_IN_BURST:  # which is every picture but a keyframe
        return [(heads, bodies)]
    parts = [(begin, begin + MOST_IN_BURST) for begin in range(0, len(bodies), MOST_IN_BURST)]
    return [(heads[begin:end], bodies[begin:end]) for begin, end in parts]

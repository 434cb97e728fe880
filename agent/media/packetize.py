"""H.264 access units as RTP payloads (RFC 6184, packetization-mode 1), cut once for all viewers."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
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


@dataclass(frozen=True, slots=True)
class Packetized:
    """An access unit as RTP payloads.

    `bursts` are consecutive payloads of one size each, but for the last of a burst, which may be shorter: what one
    system call can send. `timestamp` is RTP's; `captured_at` and `published_at` are monotonic seconds. `images` keeps
    what `rtp.images` made of the bursts, by layout.
    """

    unit: AccessUnit
    timestamp: int
    captured_at: float
    published_at: float
    bursts: tuple[tuple[bytes, ...], ...]
    images: dict[Any, tuple[Any, ...]] = field(default_factory=dict, compare=False, repr=False)

    @property
    def stream(self) -> StreamName:
        """The stream this unit is of."""
        return self.unit.stream


def packetize(unit: AccessUnit, *, timestamp: int, captured_at: float, published_at: float) -> Packetized:
    """Cut `unit` into payloads: STAP-A for parameter sets, FU-A for what is large."""
    return Packetized(unit, timestamp, captured_at, published_at, tuple(_bursts(unit.units)))


def _bursts(units: Iterable[bytes]) -> Iterator[tuple[bytes, ...]]:
    small: list[bytes] = []
    for unit in units:
        if annexb.nal_type(unit) in _IN_STAP and _stap_size([*small, unit]) <= MAX_PAYLOAD:
            small.append(unit)
            continue
        if small:
            yield (_aggregated(small),)
            small = []
        if len(unit) <= MAX_PAYLOAD:
            yield (unit,)
        else:
            fragments = _fragments(unit)
            for begin in range(0, len(fragments), MOST_IN_BURST):
                yield tuple(fragments[begin : begin + MOST_IN_BURST])
    if small:
        yield (_aggregated(small),)


def _stap_size(units: list[bytes]) -> int:
    return 1 + sum(2 + len(unit) for unit in units)


def _aggregated(units: list[bytes]) -> bytes:
    """Make a STAP-A (section 5.7.1); a single unit stays as it is."""
    if len(units) == 1:
        return units[0]
    # F is set when any has it, and NRI is the highest of all (section 5.3).
    header = max(unit[0] & _NRI_AND_F for unit in units) | _STAP_A
    return bytes([header]) + b"".join(len(unit).to_bytes(2, "big") + unit for unit in units)


def _fragments(unit: bytes) -> list[bytes]:
    """Make FU-As (section 5.8), all of MAX_PAYLOAD bytes but the last."""
    indicator, kind = unit[0] & _NRI_AND_F | _FU_A, unit[0] & 0x1F
    step = MAX_PAYLOAD - 2
    first, middle, last = (bytes([indicator, kind | flag]) for flag in (_START, 0, _END))
    fragments = [middle + unit[begin : begin + step] for begin in range(1, len(unit), step)]
    fragments[0] = first + fragments[0][2:]
    fragments[-1] = last + fragments[-1][2:]
    return fragments

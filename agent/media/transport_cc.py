"""Transport-wide feedback: when each packet arrived (draft-holmer-rmcat-transport-wide-cc-extensions-01)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

MOST_PACKETS: Final = 4096
"""Packets of one report that are looked at: more than a second of the fastest stream we send."""

_REFERENCE_US: Final = 64_000
_DELTA_US: Final = 250
_WRAP_US: Final = _REFERENCE_US << 24


class MalformedFeedback(ValueError):
    """The bytes are no transport-wide feedback."""


@dataclass(frozen=True, slots=True)
class Arrivals:
    """A report on the packets `first` and on, by the receiver's clock: microseconds, None for what did not arrive.

    The clock wraps after twelve days: `after_us` gives the difference of two times.
    """

    first: int
    times_us: list[int | None]


def after_us(later_us: int, earlier_us: int) -> int:
    """Say how much later one time of the receiver's clock is, over its wrap."""
    difference = (later_us - earlier_us) % _WRAP_US
    return difference if difference < _WRAP_US // 2 else difference - _WRAP_US


def parse(fci: bytes) -> Arrivals:
    """Read a feedback control information (section 3.1). Errors: MalformedFeedback."""
    if len(fci) < 8:
        raise MalformedFeedback("no header")
    first, count = int.from_bytes(fci[:2], "big"), int.from_bytes(fci[2:4], "big")
    if not 0 < count <= MOST_PACKETS:
        raise MalformedFeedback("an impossible number of packets")
    symbols, at = _symbols(fci, count)
    time_us = int.from_bytes(fci[4:7], "big") * _REFERENCE_US
    times_us: list[int | None] = []
    size = len(fci)
    for symbol in symbols:
        if symbol == 0:
            times_us.append(None)
            continue
        if symbol == 1:  # a small delta, unsigned
            if at >= size:
                raise MalformedFeedback("the deltas are cut short")
            time_us += fci[at] * _DELTA_US
            at += 1
        elif symbol == 2:  # a large or negative one
            if at + 2 > size:
                raise MalformedFeedback("the deltas are cut short")
            time_us += int.from_bytes(fci[at : at + 2], "big", signed=True) * _DELTA_US
            at += 2
        else:
            raise MalformedFeedback("a reserved symbol")
        times_us.append(time_us)
    return Arrivals(first, times_us)


def _symbols(fci: bytes, count: int) -> tuple[list[int], int]:
    """Read the status chunks (sections 3.1.1 to 3.1.4): a symbol for each packet, and where the deltas begin."""
    symbols: list[int] = []
    at = 8
    while len(symbols) < count:
        if at + 2 > len(fci):
            raise MalformedFeedback("the status chunks are cut short")
        chunk = int.from_bytes(fci[at : at + 2], "big")
        at += 2
        if not chunk & 0x8000:  # a run
            symbols += [chunk >> 13] * min(chunk & 0x1FFF, count - len(symbols))
            if not chunk & 0x1FFF:
                raise MalformedFeedback("a run of no packets")
        elif chunk & 0x4000:  # seven symbols of two bits
            symbols += [chunk >> shift & 3 for shift in range(12, -1, -2)]
        else:  # fourteen of one
            symbols += [chunk >> shift & 1 for shift in range(13, -1, -1)]
    return symbols[:count], at

"""Transport-wide feedback: which packets arrived, and when (draft-holmer-rmcat-transport-wide-cc-extensions-01)."""

from __future__ import annotations

import struct
from itertools import accumulate
from typing import Final

TICK_S: Final = 0.000_25
"""What arrival times are counted in (section 3.1.5)."""

WRAP_TICKS: Final = 2**32
"""Arrival times begin again after this many ticks, 12 days: the reference time has 24 bits of 64 ms each."""

MOST_PACKETS: Final = 4096
"""What one feedback packet may be about: ten seconds of what we send."""

_HEADER: Final = struct.Struct(">HHI")
_TICKS_PER_REFERENCE: Final = 256
_LARGE: Final = 2  # the packet status symbols 0 to 2 are also how many bytes the arrival time takes (section 3.1.1)
_MOST_PADDING: Final = 3


class MalformedFeedback(ValueError):
    """The bytes are no transport-wide feedback; the message says where they break."""


class Feedback:
    """What one feedback packet says of `count` packets from transport-wide number `base` (16 bits) on.

    `received` has a bit for each of them, the first packet's the highest; `arrivals` has a time for each bit
    that is set, in ticks of the receiver's clock.
    """

    __slots__ = ("arrivals", "base", "count", "received")

    # Written out: one is made many times a second, and what a dataclass makes cannot be compiled.
    def __init__(self, base: int, count: int, received: int, arrivals: list[int]) -> None:
        self.base = base
        self.count = count
        self.received = received
        self.arrivals = arrivals


def parse(fci: bytes) -> Feedback:
    """Read the FCI of an RTPFB packet of FMT 15 (section 3.1). Errors: MalformedFeedback."""
    size = len(fci)
    if size < _HEADER.size + 2:
        raise MalformedFeedback(f"{size} bytes are too few for a header and a chunk")
    base, count, reference = _HEADER.unpack_from(fci)
    if not 0 < count <= MOST_PACKETS:
        raise MalformedFeedback(f"it is about {count} packets")
    received, runs, at = _statuses(fci, count)
    deltas: list[int] = []
    for width, number in runs:
        end = at + width * number
        if end > size:
            raise MalformedFeedback(f"the arrival times end at byte {size}, before those of all received packets")
        if width == 1:
            deltas += fci[at:end]
        else:
            deltas += struct.unpack_from(f">{number}h", fci, at)
        at = end
    if size - at > _MOST_PADDING:
        raise MalformedFeedback(f"{size - at} bytes follow the last arrival time")
    if deltas:
        deltas[0] += (reference >> 8) * _TICKS_PER_REFERENCE
    return Feedback(base, count, received, list(accumulate(deltas)))


def _statuses(fci: bytes, count: int) -> tuple[int, list[tuple[int, int]], int]:
    """Read the chunks: the bits, the widths of the deltas as runs of (bytes, number), and where those begin."""
    received, runs = 0, list[tuple[int, int]]()
    left, at, size = count, _HEADER.size, len(fci)
    while left:
        if at + 2 > size:
            raise MalformedFeedback(f"the status chunks end at byte {size}, {left} packets too early")
        chunk = fci[at] << 8 | fci[at + 1]
        at += 2
        if chunk < 0x8000:  # run length (section 3.1.3)
            symbol, number = chunk >> 13, min(chunk & 0x1FFF, left)
            if not number or symbol > _LARGE:
                raise MalformedFeedback(f"the status chunk at byte {at - 2} has an empty run or a reserved symbol")
            received <<= number
            if symbol:
                received |= (1 << number) - 1
                runs.append((symbol, number))
        elif chunk < 0xC000:  # a vector of 14 one-bit symbols (section 3.1.4)
            number = min(14, left)
            bits = (chunk & 0x3FFF) >> (14 - number)
            received = received << number | bits
            runs.append((1, bits.bit_count()))
        else:  # a vector of seven two-bit symbols
            number = min(7, left)
            for shift in range(12, 12 - 2 * number, -2):
                symbol = chunk >> shift & 3
                if symbol > _LARGE:
                    raise MalformedFeedback(f"the status chunk at byte {at - 2} has a reserved symbol")
                received = received << 1 | (symbol > 0)
                if symbol:
                    runs.append((symbol, 1))
        left -= number
    return received, runs, at

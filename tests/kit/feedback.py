"""Transport-wide feedback as a receiver writes it (draft-holmer-rmcat-transport-wide-cc-extensions-01)."""

from __future__ import annotations

import random
import struct
from collections.abc import Sequence
from itertools import groupby


def write(base: int, arrivals: Sequence[int | None], *, choose: random.Random | None = None) -> bytes:
    """Make the FCI for packets from `base` on: each one's arrival in ticks of 250 us, or None where it is missing.

    `choose` picks among the kinds of chunk that fit; without it runs are runs, and the rest two-bit vectors.
    """
    first = next((ticks for ticks in arrivals if ticks is not None), 0)
    reference = first // 256
    symbols, deltas, last = list[int](), bytearray(), reference * 256
    for ticks in arrivals:
        if ticks is None:
            symbols.append(0)
            continue
        delta, last = ticks - last, ticks
        small = 0 <= delta <= 255
        symbols.append(1 if small else 2)
        deltas += struct.pack(">B" if small else ">h", delta)
    body = struct.pack(">HHI", base & 0xFFFF, len(symbols), (reference & 0xFFFFFF) << 8) + _chunks(symbols, choose)
    body += deltas
    return bytes(body + bytes(-len(body) % 4))


def _chunks(symbols: list[int], choose: random.Random | None) -> bytes:
    out, at = bytearray(), 0
    while at < len(symbols):
        rest = symbols[at:]
        run = len(list(next(groupby(rest))[1]))
        kinds = ["run"] * (run >= 7 or choose is not None) + ["one"] * (2 not in rest[:14]) + ["two"]
        kind = choose.choice(kinds) if choose is not None else kinds[0]
        if kind == "run":
            number = min(run, 0x1FFF)
            out += struct.pack(">H", rest[0] << 13 | number)
        elif kind == "one":
            number = 14
            out += struct.pack(">H", 0x8000 | _packed(rest, 14, 1))
        else:
            number = 7
            out += struct.pack(">H", 0xC000 | _packed(rest, 7, 2))
        at += number
    return bytes(out)


def _packed(symbols: list[int], number: int, bits: int) -> int:
    value = 0
    for symbol in (symbols + [0] * number)[:number]:
        value = value << bits | symbol
    return value

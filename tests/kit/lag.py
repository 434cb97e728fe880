"""How late the event loop is, while something else goes on beside it."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass

_STEP_S = 0.005


@dataclass(frozen=True, slots=True, kw_only=True)
class Lag:
    """`usual_s` is what 99 of 100 wakings stay under; a shared machine alone can make single ones later."""

    usual_s: float
    worst_s: float


async def lag_of_the_loop(seconds: float) -> Lag:
    """Sleep in small steps for so long, and say how much later than asked the loop woke us."""
    late: list[float] = []
    until = time.monotonic() + seconds
    while (began := time.monotonic()) < until:
        await asyncio.sleep(_STEP_S)
        late.append(time.monotonic() - began - _STEP_S)
    late.sort()
    return Lag(usual_s=late[len(late) * 99 // 100], worst_s=late[-1])

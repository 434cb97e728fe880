"""What a sender costs while nobody watches: camward's camera is asleep then, the others play on."""

from __future__ import annotations

import asyncio
import tempfile
from dataclasses import dataclass
from pathlib import Path

from benchmarks.child import cpu_s, rss_mb
from benchmarks.materials import Materials
from benchmarks.sending import sending

_SETTLE_S = 3.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Idle:
    """A sender without viewers."""

    sender: str
    cpu_s_per_minute: float
    rss_mb: float


async def measure_idle(made: Materials, name: str, *, seconds: float) -> Idle:
    """Start a sender that nobody calls, and measure."""
    with tempfile.TemporaryDirectory() as folder:
        async with sending(name, made, Path(folder)) as sender:
            await asyncio.sleep(_SETTLE_S)
            before = cpu_s(sender.pid)
            await asyncio.sleep(seconds)
            spent = (cpu_s(sender.pid) - before) / seconds
            print(f"idle  {name:15} {spent * 60:7.3f} CPU-s a minute  {rss_mb(sender.pid):6.1f} MB", flush=True)
            return Idle(sender=name, cpu_s_per_minute=round(spent * 60, 4), rss_mb=round(rss_mb(sender.pid), 1))

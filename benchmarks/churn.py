"""Whether anything stays behind: the agent's memory after many viewers have come and gone, and its CPU when idle.

    .venv/bin/python -m benchmarks.churn [--viewers N] [--idle-s S]

Writes benchmarks/churn.json.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import tempfile
from pathlib import Path
from typing import Any, Final

from agent.signaling.limits import CALLS_IN_ALL
from benchmarks.cell import join
from benchmarks.child import cpu_s, rss_mb
from benchmarks.machine import circumstances
from benchmarks.materials import Materials, prepare
from benchmarks.sending import Sender, sending
from benchmarks.viewers import Viewers, receiving

_RESULTS: Final = Path(__file__).with_suffix(".json")
_AT_ONCE: Final = 10
_ASLEEP_S: Final = 5.0  # sessions have closed and the camera sleeps by then


async def come_and_go(receiver: Viewers, sender: Sender, first: int, count: int) -> None:
    """Let viewers come, ten at a time, see a keyframe, and leave."""

    async def visit(viewer: str) -> None:
        await join(receiver, sender, viewer, bare=False)
        await sender.leave(viewer)
        receiver.close(viewer)

    for start in range(first, first + count, _AT_ONCE):
        # No faster than the agent takes calls.
        soonest = asyncio.sleep(_AT_ONCE / CALLS_IN_ALL.per_s)
        await asyncio.gather(
            soonest, *(visit(f"v{number}") for number in range(start, min(start + _AT_ONCE, first + count)))
        )


async def run(made: Materials, arguments: argparse.Namespace) -> dict[str, Any]:
    """Measure memory at 50 viewers and at every 100, then the CPU of an idle agent."""
    memory: dict[int, float] = {}
    with tempfile.TemporaryDirectory() as path:
        folder = Path(path)
        async with (
            receiving(made.receiver, "gcm", folder / "receiver.log") as receiver,
            sending("camward", made, folder) as sender,
        ):
            before = 0
            for gone in (0, 50, *range(100, arguments.viewers + 1, 100)):
                await come_and_go(receiver, sender, before, gone - before)
                before = gone
                await asyncio.sleep(_ASLEEP_S)
                memory[gone] = round(rss_mb(sender.pid), 1)
                print(f"{memory[gone]:6.1f} MB after {gone} viewers", flush=True)
            spent = cpu_s(sender.pid)
            await asyncio.sleep(arguments.idle_s)
            idle = (cpu_s(sender.pid) - spent) * 60 / arguments.idle_s
            print(f"{idle:.3f} CPU-s a minute without viewers", flush=True)
    return {"rss_mb_after_viewers": memory, "idle_cpu_s_per_minute": round(idle, 4)}


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--viewers", type=int, default=500)
    parser.add_argument("--idle-s", type=float, default=60.0)
    arguments = parser.parse_args()
    record = circumstances() | asyncio.run(run(prepare(), arguments))
    _RESULTS.write_text(json.dumps(record, indent=1) + "\n")


if __name__ == "__main__":
    main()

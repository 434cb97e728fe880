"""How soon a viewer sees a picture, and what its coming and going costs.

    .venv/bin/python -m benchmarks.join [--rounds N] [--joins N]

First camward alone: 16 viewers join at random times; milliseconds from the call to the first keyframe that could be
decoded, with its parameter sets and its last fragment. Then the CPU of a join, for camward and its peers: viewers come,
stay for a tenth of a second after DTLS stands, and leave, beside one who stays and whose cost is taken off. Writes
benchmarks/join.json.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import statistics
import tempfile
from pathlib import Path
from typing import Any, Final

from benchmarks.cell import join, percentile
from benchmarks.child import cpu_s
from benchmarks.machine import circumstances
from benchmarks.materials import Materials, prepare
from benchmarks.sending import sending
from benchmarks.viewers import receiving

_RESULTS: Final = Path(__file__).with_suffix(".json")
_SENDERS: Final = ("camward", "aiortc", "pion", "libdatachannel")
_VIEWERS: Final = 16
_WITHIN_S: Final = 8.0  # they all join
_BASE_S: Final = 8.0
_APART_S: Final = 0.25
_STAY_S: Final = 0.1
_SETTLE_S: Final = 3.0


async def first_keyframes(made: Materials, chance: random.Random) -> list[float]:
    """Let 16 viewers join camward at random times; milliseconds of each."""
    with tempfile.TemporaryDirectory() as path:
        folder = Path(path)
        async with (
            receiving(made.receiver, "gcm", folder / "receiver.log") as receiver,
            sending("camward", made, folder) as sender,
        ):

            async def later(viewer: str) -> float:
                await asyncio.sleep(chance.uniform(0, _WITHIN_S))
                return await join(receiver, sender, viewer, bare=False)

            return await asyncio.gather(*(later(f"v{number}") for number in range(_VIEWERS)))


async def cpu_of_a_join(made: Materials, name: str, joins: int) -> float:
    """Give CPU milliseconds of one coming and going."""
    with tempfile.TemporaryDirectory() as path:
        folder = Path(path)
        async with (
            receiving(made.receiver, "gcm", folder / "receiver.log") as receiver,
            sending(name, made, folder) as sender,
        ):
            await join(receiver, sender, "stays", bare=False)
            await asyncio.sleep(_SETTLE_S)
            clock = asyncio.get_running_loop().time
            before, began = cpu_s(sender.pid), clock()
            await asyncio.sleep(_BASE_S)
            base = (cpu_s(sender.pid) - before) / (clock() - began)
            before, began = cpu_s(sender.pid), clock()
            for number in range(joins):
                viewer = f"v{number}"
                receiver.answer(viewer, await sender.answer(viewer, await receiver.offer(viewer, bare=False)))
                await receiver.connected(viewer)
                await asyncio.sleep(_STAY_S)
                await sender.leave(viewer)
                receiver.close(viewer)
                await asyncio.sleep(_APART_S)
            await asyncio.sleep(1)
            return (cpu_s(sender.pid) - before - base * (clock() - began)) / joins * 1000


async def run(made: Materials, arguments: argparse.Namespace) -> dict[str, Any]:
    """Measure both."""
    took: list[float] = []
    for number in range(arguments.rounds):
        took += await first_keyframes(made, random.Random(number))  # noqa: S311  # a run that can be repeated
        print(f"{len(took):4} joins: median {statistics.median(took):.0f} ms", flush=True)
    cost = {}
    for name in _SENDERS:
        cost[name] = round(await cpu_of_a_join(made, name, arguments.joins), 1)
        print(f"{name:15} {cost[name]:6.1f} ms of CPU a join", flush=True)
    return {
        "joins": len(took),
        "first_keyframe_ms_median": round(statistics.median(took), 1),
        "first_keyframe_ms_p95": round(percentile(took, 0.95), 1),
        "cpu_ms_of_a_join": cost,
    }


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=6, help="of 16 viewers each (default: 6)")
    parser.add_argument("--joins", type=int, default=40, help="of each sender, for the CPU (default: 40)")
    arguments = parser.parse_args()
    record = circumstances() | asyncio.run(run(prepare(), arguments))
    _RESULTS.write_text(json.dumps(record, indent=1) + "\n")
    print(_RESULTS.read_text(), end="")


if __name__ == "__main__":
    main()

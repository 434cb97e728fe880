"""How many viewers camward serves, and what breaks first.

    .venv/bin/python -m benchmarks.growth [--to N] [--srtp cm|gcm] [--seconds S]

Viewers join one agent until pictures are lost or come late, twice in a row. Beside each step stands what the agent,
the receiver and the kernel had to do, so that it shows who gave up. Writes benchmarks/growth.json.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from benchmarks.cell import SETTLE_S, join_all
from benchmarks.child import Failed, cpu_s, rss_mb
from benchmarks.machine import circumstances
from benchmarks.materials import Materials, prepare
from benchmarks.sending import Sender, sending
from benchmarks.viewers import Viewers, receiving

_RESULTS: Final = Path(__file__).with_suffix(".json")
_STEPS: Final = (1, 2, 4, 8, 16, 32, 60, *range(80, 401, 20))
FPS: Final = 29.9  # of a clip of 30
_FULL: Final = 0.95  # of a core, which is all that one thread of Python gets
_SPENT: Final = 0.1  # of all cores: with fewer left idle, whoever wakes waits for one


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """So many viewers at once."""

    viewers: int
    cores: float  # of the agent's CPU time, a second
    receiver_cores: float
    idle_cores: float  # that nobody on this machine had work for
    rss_mb: float
    lost: int
    fps: float  # the lowest of all viewers
    late: int  # viewers who got fewer pictures a second than they should
    unread: int  # datagrams that a full socket of a receiver dropped
    unsent: int  # datagrams that a full socket of a sender refused

    @property
    def is_whole(self) -> bool:
        """Whether every viewer got everything in time."""
        return self.lost == 0 and self.late == 0


async def measure(receiver: Viewers, sender: Sender, viewers: int, seconds: float, least_fps: float = FPS) -> Step:
    """Measure what is going on; who gets less than `least_fps` is late."""
    await asyncio.sleep(SETTLE_S)
    clock = asyncio.get_running_loop().time
    began, agent, taker, idle, dropped = clock(), cpu_s(sender.pid), cpu_s(receiver.pid), idle_s(), udp_errors()
    window = asyncio.create_task(receiver.window(seconds))
    await asyncio.sleep(seconds)
    took_s, agent, taker = clock() - began, cpu_s(sender.pid) - agent, cpu_s(receiver.pid) - taker
    idle = idle_s() - idle
    got = await window
    now = udp_errors()
    return Step(
        viewers=viewers,
        cores=round(agent / took_s, 3),
        receiver_cores=round(taker / took_s, 3),
        idle_cores=round(idle / took_s, 3),
        rss_mb=round(rss_mb(sender.pid), 1),
        lost=sum(one.lost for one in got.values()),
        fps=round(min(one.fps for one in got.values()), 2),
        late=sum(one.fps < least_fps for one in got.values()),
        unread=now["RcvbufErrors"] - dropped["RcvbufErrors"],
        unsent=now["SndbufErrors"] - dropped["SndbufErrors"],
    )


def idle_s() -> float:
    """Read for how long the machine's processors had nothing to do, all together, in seconds since it started."""
    return float(Path("/proc/uptime").read_text().split()[1])


def udp_errors() -> dict[str, int]:
    """Read the kernel's counts of datagrams, of this network namespace."""
    names, values = (line.split()[1:] for line in Path("/proc/net/snmp").read_text().splitlines() if line[:4] == "Udp:")
    return dict(zip(names, map(int, values), strict=True))


async def grow(made: Materials, arguments: argparse.Namespace) -> tuple[list[Step], str]:
    """Start the agent with the clip, and add viewers until it breaks; the steps, and what broke."""
    with tempfile.TemporaryDirectory() as path:
        folder = Path(path)
        async with (
            receiving(made.receiver, arguments.srtp, folder / "receiver.log") as receiver,
            sending("camward", made, folder) as sender,
        ):
            return await add_viewers(receiver, sender, to=arguments.to, seconds=arguments.seconds)


async def add_viewers(
    receiver: Viewers, sender: Sender, *, to: int, seconds: float, least_fps: float = FPS
) -> tuple[list[Step], str]:
    """Add viewers until it breaks, or there are so many; the steps, and what broke."""
    steps: list[Step] = []
    chance, there = random.Random(0), 0  # noqa: S311  # a run that can be repeated
    for viewers in (step for step in _STEPS if step <= to):
        try:
            await join_all(receiver, sender, viewers - there, chance, bare=False, first=there)
        except Failed as failure:
            return steps, f"with {viewers} viewers: {failure}"
        there = viewers
        for _ in range(2):  # once is chance
            step = await measure(receiver, sender, viewers, seconds, least_fps)
            print(step, flush=True)
            if step.is_whole:
                break
        steps.append(step)
        if not step.is_whole:
            return steps, why(step, least_fps)
    return steps, f"nothing, up to {there} viewers"


def why(step: Step, least_fps: float = FPS) -> str:
    """Name what was at its limit where it broke."""
    reasons = []
    if step.cores >= _FULL:
        reasons.append(f"the agent's thread is full ({step.cores:.2f} of a core)")
    cores = os.cpu_count() or 1
    if step.idle_cores < _SPENT * cores:
        used = f"agent {step.cores:.2f}, receiver {step.receiver_cores:.2f}, idle {step.idle_cores:.2f}"
        reasons.append(f"the machine's {cores} cores are full ({used})")
    if step.unread:
        reasons.append(f"the receiver left {step.unread} datagrams unread at {step.receiver_cores:.2f} cores")
    if step.unsent:
        reasons.append(f"full sockets of the agent refused {step.unsent} datagrams")
    delivered = (
        f"with {step.viewers} viewers {step.late} got fewer than {least_fps:.1f} fps and {step.lost} packets were lost"
    )
    return f"{delivered}: " + (", ".join(reasons) or "nothing was at its limit")


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--to", type=int, default=_STEPS[-1], help=f"at most (default: {_STEPS[-1]})")
    parser.add_argument("--srtp", choices=["cm", "gcm"], default="gcm")
    parser.add_argument("--seconds", type=float, default=8.0, help="of each step (default: 8)")
    arguments = parser.parse_args()
    record = circumstances() | {"srtp": arguments.srtp}
    steps, broke = asyncio.run(grow(prepare(), arguments))
    record |= {"broke": broke, "steps": [asdict(step) for step in steps]}
    _RESULTS.write_text(json.dumps(record, indent=1) + "\n")
    print(broke)


if __name__ == "__main__":
    main()

"""One cell of the table: a sender, so many viewers, one SRTP profile."""

from __future__ import annotations

import asyncio
import random
import statistics
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.child import Failed, cpu_s, rss_mb
from benchmarks.materials import Materials
from benchmarks.sending import BARE, Sender, sending
from benchmarks.viewers import Viewers, receiving

_APART_S = 0.12  # between two joins, at most
_KEYFRAMES_APART_S = 2.0  # in the clip: the first join falls anywhere between two
_TRIES = 2  # about one call in two hundred to GStreamer's webrtcbin gets no picture
SETTLE_S = 3.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """What one run of a cell gave; the names are those of results.json."""

    sender: str
    viewers: int
    srtp: str
    cpu_s_per_viewer_minute: float
    rss_mb: float
    lost: int  # packets, of all viewers
    fps: float  # the lowest of all viewers
    first_keyframe_ms_median: float
    first_keyframe_ms_p95: float
    repeat: int


async def measure(made: Materials, name: str, viewers: int, srtp: str, *, seconds: float, repeat: int) -> Record:
    """Start a sender, let the viewers join one after the other, and measure. Errors: Failed."""
    with tempfile.TemporaryDirectory() as path:
        folder = Path(path)
        async with (
            receiving(made.receiver, srtp, folder / "receiver.log") as receiver,
            sending(name, made, folder) as sender,
        ):
            chance = random.Random(f"{viewers} {repeat}")  # noqa: S311  # the same times for every sender
            await asyncio.sleep(chance.uniform(0, _KEYFRAMES_APART_S))
            first_keyframes = await join_all(receiver, sender, viewers, chance, bare=name in BARE, tries=_TRIES)
            await asyncio.sleep(SETTLE_S)
            before = cpu_s(sender.pid)
            began = asyncio.get_running_loop().time()
            window = asyncio.create_task(receiver.window(seconds))
            await asyncio.sleep(seconds)
            spent = (cpu_s(sender.pid) - before) / (asyncio.get_running_loop().time() - began)
            memory = rss_mb(sender.pid)
            got = await window
    return Record(
        sender=name,
        viewers=viewers,
        srtp=srtp,
        cpu_s_per_viewer_minute=round(spent * 60 / viewers, 4),
        rss_mb=round(memory, 1),
        lost=sum(one.lost for one in got.values()),
        fps=round(min(one.fps for one in got.values()), 3),
        first_keyframe_ms_median=round(statistics.median(first_keyframes), 1),
        first_keyframe_ms_p95=round(percentile(first_keyframes, 0.95), 1),
        repeat=repeat,
    )


async def join_all(
    receiver: Viewers,
    sender: Sender,
    viewers: int,
    chance: random.Random,
    *,
    bare: bool,
    first: int = 0,
    tries: int = 1,
) -> list[float]:
    """Let viewers join at random times; milliseconds from each call to its first whole keyframe. Errors: Failed."""

    async def patient(viewer: str) -> float:
        for attempt in range(1, tries):
            try:
                return await join(receiver, sender, f"{viewer}-{attempt}", bare=bare)
            except Failed as failure:
                print(f"(again: {failure})", end="  ", flush=True)
                receiver.close(f"{viewer}-{attempt}")
                await sender.leave(f"{viewer}-{attempt}")
        return await join(receiver, sender, viewer, bare=bare)

    joins = []
    for number in range(first, first + viewers):
        joins.append(asyncio.create_task(patient(f"v{number}")))
        await asyncio.sleep(chance.uniform(0, _APART_S))
    joined = await asyncio.gather(*joins, return_exceptions=True)
    failures = [result for result in joined if isinstance(result, BaseException)]
    if failures:
        raise Failed(f"{len(failures)} of {viewers} did not join: {failures[0]}")
    return [result for result in joined if isinstance(result, float)]


async def join(receiver: Viewers, sender: Sender, viewer: str, *, bare: bool) -> float:
    """Let one viewer call; milliseconds to its first whole keyframe. Errors: Failed."""
    answer = await sender.answer(viewer, await receiver.offer(viewer, bare=bare))
    if not bare:
        receiver.answer(viewer, answer)
    return await receiver.keyframe_ms(viewer)


def percentile(values: Sequence[float], part: float) -> float:
    """Give the smallest value that so large a part of them does not exceed."""
    ordered = sorted(values)
    return ordered[max(0, -int(-part * len(ordered) // 1) - 1)]

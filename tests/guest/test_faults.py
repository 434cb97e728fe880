"""What a real driver does when it fails, and what comes of it: pictures again, and nothing left behind."""

from __future__ import annotations

import asyncio
import itertools
import os
import threading
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from agent.capture import hotplug
from agent.capture.camera import Camera, State
from agent.capture.choose import Choice
from agent.capture.source import TemporaryCaptureError
from agent.capture.v4l2 import V4l2
from agent.config import CameraConfig
from agent.media.stream import Stream
from agent.service import memory
from tests.agent.capture.watching import watched
from tests.guest import vivid
from tests.kit.onlooker import Onlooker

pytestmark = [pytest.mark.guest, pytest.mark.timeout(900)]

CONFIG = CameraConfig(source=f"v4l2:{vivid.DEVICE}", width=320, height=180, fps=10, bitrate_bps=300_000)
PULLS = 50


class Watched:
    """A camera with a viewer, and how often it was found to give no picture."""

    def __init__(self) -> None:
        self.faults: list[str] = []
        stream = Stream(ask=lambda: self.camera.request_keyframe())
        self.camera = Camera(CONFIG, Choice(CONFIG), {"main": stream}, on_state=self._note)
        self._onlooker = Onlooker(lambda: None)
        stream.subscribe(self._onlooker, time.monotonic())
        self.camera.demand(stream.viewers)

    async def pictures(self, count: int = 3, within_s: float = 30) -> None:
        """Wait for pictures that are made from now on."""
        self._drain()
        async with asyncio.timeout(within_s):
            while count > 0:
                await asyncio.sleep(0.02)
                count -= self._drain()

    async def fault(self, count: int, within_s: float = 60) -> None:
        """Wait until there were so many faults in all."""
        async with asyncio.timeout(within_s):
            while len(self.faults) < count:
                await asyncio.sleep(0.02)

    def _drain(self) -> int:
        return sum(1 for _ in iter(self._onlooker.pop, None))

    def _note(self, state: State) -> None:
        if state == "waiting" and self.camera.fault is not None:
            self.faults.append(self.camera.fault)


@asynccontextmanager
async def running() -> AsyncIterator[Watched]:
    bench = Watched()
    parts = [asyncio.create_task(bench.camera.run()), asyncio.create_task(hotplug.listen(bench.camera.plugged_in))]
    try:
        yield bench
    finally:
        for part in parts:
            part.cancel()
        await asyncio.wait(parts)


def _unplug_and_plug() -> Callable[[], None]:
    vivid.unplug()
    return vivid.plug


def _reload() -> Callable[[], None]:
    """The driver goes altogether, and comes with another number for its node."""
    before = vivid.DEVICE.resolve()
    vivid.unplug()

    def again() -> None:
        vivid.unload()
        vivid.load(number=7 if before.name == "video0" else 0)
        assert vivid.DEVICE.resolve() != before

    return again


def _silence() -> Callable[[], None]:
    vivid.control("percentage_of_dropped_buffers", 100)
    return lambda: vivid.control("percentage_of_dropped_buffers", 0)


def _disconnect() -> Callable[[], None]:
    vivid.control("disconnect")
    return lambda: None


def _break() -> Callable[[], None]:
    vivid.control("inject_fatal_streaming_error")
    return lambda: None


WAYS = (
    _unplug_and_plug,
    _disconnect,
    _unplug_and_plug,
    _break,
    _unplug_and_plug,
    _reload,
    _break,
    _disconnect,
    _silence,
)


def _left_behind() -> tuple[set[str], list[str]]:
    files = sorted(entry.name for entry in Path("/proc/self/fd").iterdir())
    return {thread.name for thread in threading.enumerate()}, files


def _resident_mb() -> float:
    memory.give_back()
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


async def test_a_source_that_is_pulled_away_fifty_times_gives_pictures_again_each_time(camera_path: Path) -> None:
    async with running() as bench:
        await bench.pictures()
        for count, way in zip(range(1, PULLS + 1), itertools.cycle(WAYS), strict=False):
            again = await asyncio.to_thread(way)
            await bench.fault(count)
            await asyncio.to_thread(again)
            await bench.pictures()
            if count == len(WAYS):  # each way was gone once: what it loads is loaded
                before, resident_mb = _left_behind(), _resident_mb()
        after, grown_mb = _left_behind(), _resident_mb() - resident_mb

    print(f"{len(bench.faults)} faults, {grown_mb:.1f} MB more: {sorted(set(bench.faults))}")  # noqa: T201
    assert len(bench.faults) >= PULLS
    assert after == before
    assert grown_mb < 3


async def test_a_camera_that_is_plugged_in_again_is_there_at_once(camera_path: Path) -> None:
    async with running() as bench:
        await bench.pictures()
        vivid.unplug()
        await bench.fault(6)  # the next try is 16 s away or more
        began = time.monotonic()
        vivid.plug()
        await bench.pictures()

        assert time.monotonic() - began < 5


def test_a_driver_that_gives_no_picture_is_a_fault_that_may_pass(camera_path: Path) -> None:
    source = V4l2(CONFIG, camera_path, silent_s=1)
    with watched(source) as watch:
        watch.wait(lambda units: len(units) >= 2)
        vivid.control("percentage_of_dropped_buffers", 100)
        assert watch.ended(within_s=10)

    assert isinstance(watch.error, TemporaryCaptureError)
    assert "gives no picture for 1 s; unplug it" in str(watch.error)


def test_stop_ends_a_run_whose_driver_gives_no_picture(camera_path: Path) -> None:
    with watched(V4l2(CONFIG, camera_path)) as watch:
        watch.wait(lambda units: len(units) >= 2)
        vivid.control("percentage_of_dropped_buffers", 100)
        count = len(watch.units)
        time.sleep(0.5)
        assert len(watch.units) <= count + 3
        watch.source.stop()
        assert watch.ended(within_s=1)

    assert watch.error is None


@pytest.mark.parametrize("what", ["reqbufs", "qbuf", "streamon"])
def test_a_driver_that_refuses_to_start_once_may_do_better_the_next_time(camera_path: Path, what: str) -> None:
    vivid.control(f"inject_vidioc_{what}_error")
    with watched(V4l2(CONFIG, camera_path)) as watch:
        assert watch.ended(within_s=10)
    assert isinstance(watch.error, TemporaryCaptureError)

    with watched(V4l2(CONFIG, camera_path)) as watch:
        watch.wait(lambda units: len(units) >= 2)


def test_a_picture_that_the_driver_marks_as_damaged_is_left_out(camera_path: Path) -> None:
    with watched(V4l2(CONFIG, camera_path)) as watch:
        watch.wait(lambda units: len(units) >= 3)
        vivid.control("inject_v4l2_buf_flag_error")
        count = len(watch.units) + 5
        units = watch.wait(lambda units: len(units) >= count)

    steps = [after.pts_us - before.pts_us for before, after in itertools.pairwise(units)]
    assert sum(step > 150_000 for step in steps) == 1


def test_two_runs_of_one_camera_say_that_it_is_busy(camera_path: Path) -> None:
    with watched(V4l2(CONFIG, camera_path)) as first:
        first.wait(lambda units: len(units) >= 1)
        with watched(V4l2(CONFIG, camera_path)) as second:
            assert second.ended(within_s=10)

    assert isinstance(second.error, TemporaryCaptureError)
    assert "another program uses the camera" in str(second.error)

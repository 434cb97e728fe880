from __future__ import annotations

import asyncio
import gc
import logging
import random
import threading
import time
import weakref

import pytest

from agent.capture import camera as camera_module
from agent.capture.run import BOUND
from agent.capture.source import HungCaptureError, PermanentCaptureError, TemporaryCaptureError
from tests.agent.capture.bench import fails, running, shows
from tests.agent.capture.scripted import Emit, Scripted


async def test_a_temporary_fault_is_told_once_and_tried_again_until_it_passes(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO, "agent.capture")
    busy = fails(TemporaryCaptureError("/dev/video0: busy"))
    async with running(busy, busy, Scripted.steady) as (bench, _):
        feed = bench.watch()
        await bench.state("waiting")
        assert bench.camera.fault == "/dev/video0: busy"
        await bench.pictures(feed, 2)

        tried = [("starting", None), ("waiting", "/dev/video0: busy")]
        assert bench.states == [*tried, *tried, ("starting", None), ("streaming", None)]
        assert len(bench.sources) == 3
        assert sum("busy" in record.getMessage() for record in caplog.records) == 1


@pytest.mark.alone
async def test_tries_come_later_each_time_and_at_once_again_after_a_success(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(random, "uniform", lambda low, high: low)
    busy = fails(TemporaryCaptureError("busy"))
    async with running(busy, busy, shows(1, TemporaryCaptureError("unplugged")), Scripted.steady) as (bench, _):
        began = time.monotonic()
        bench.watch()
        tried: list[float] = []
        for count in range(1, 5):
            await bench.until(lambda count=count: len(bench.sources) == count)  # type: ignore[misc]
            tried.append(time.monotonic() - began)

    assert tried == pytest.approx([0, 0.5, 1.5, 2.0], abs=0.3)


async def test_a_camera_that_is_plugged_in_again_is_not_kept_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(camera_module, "_BACKOFF_S", 600.0)
    monkeypatch.setattr(camera_module, "_LONGEST_BACKOFF_S", 600.0)
    gone = fails(TemporaryCaptureError("unplugged"))
    async with running(gone, gone, Scripted.steady) as (bench, _):
        feed = bench.watch()
        await bench.state("waiting")
        bench.camera.plugged_in()  # another camera than ours
        await bench.until(lambda: len(bench.sources) == 2 and bench.camera.state == "waiting")
        bench.camera.plugged_in()

        assert await bench.pictures(feed, 2)


async def test_a_camera_that_is_plugged_in_while_it_is_tried_is_tried_once_more(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(camera_module, "_BACKOFF_S", 600.0)
    monkeypatch.setattr(camera_module, "_LONGEST_BACKOFF_S", 600.0)
    opened = threading.Event()

    def too_early(source: Scripted, emit: Emit) -> None:
        opened.wait(5)
        raise TemporaryCaptureError("no such device")

    async with running(too_early, Scripted.steady) as (bench, _):
        feed = bench.watch()
        await bench.until(lambda: len(bench.sources) == 1)
        bench.camera.plugged_in()
        opened.set()

        assert await bench.pictures(feed, 2)


async def test_pictures_go_on_with_rising_timestamps_after_a_fault() -> None:
    async with running(shows(3, TemporaryCaptureError("unplugged")), Scripted.steady) as (bench, _):
        seen = await bench.pictures(bench.watch(), 6)

    assert seen == sorted(set(seen))
    assert 400_000 < seen[3] - seen[2] < 2_500_000


async def test_a_source_that_just_ends_is_a_fault_that_passes() -> None:
    async with running(shows(1), Scripted.steady) as (bench, _):
        feed = bench.watch()
        await bench.state("waiting")
        assert bench.camera.fault == "scripted: for a test ended by itself"
        await bench.pictures(feed, 3)


async def test_nobody_waits_for_a_camera_that_nobody_watches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(camera_module, "_BACKOFF_S", 600.0)
    monkeypatch.setattr(camera_module, "_LONGEST_BACKOFF_S", 600.0)
    async with running(fails(TemporaryCaptureError("busy")), linger_s=0) as (bench, _):
        feed = bench.watch()
        await bench.state("waiting")
        bench.leave(feed)
        await bench.state("asleep")

        assert bench.camera.fault is None


async def test_a_source_that_failed_is_freed_at_once_and_not_by_a_collection() -> None:
    async with running(fails(TemporaryCaptureError("unplugged")), Scripted.steady) as (bench, _):
        gc.disable()
        try:
            feed = bench.watch()
            await bench.state("waiting")
            failed = weakref.ref(bench.sources[0])
            await bench.pictures(feed, 1)
            bench.sources.pop(0)

            assert failed() is None
        finally:
            gc.enable()


async def test_a_permanent_fault_ends_the_camera() -> None:
    async with running(fails(PermanentCaptureError("no such file"))) as (bench, task):
        bench.watch()
        with pytest.raises(PermanentCaptureError, match="no such file"):
            await asyncio.wait_for(task, 15)


async def test_a_source_that_breaks_ends_the_camera_with_its_own_error() -> None:
    async with running(fails(KeyError("a bug"))) as (bench, task):
        bench.watch()
        with pytest.raises(KeyError):
            await asyncio.wait_for(task, 15)


async def test_a_loop_that_is_far_behind_loses_pictures_up_to_a_keyframe() -> None:
    standing, posted, again = threading.Event(), threading.Event(), threading.Event()

    def flood(source: Scripted, emit: Emit) -> None:
        standing.wait(5)
        for _ in range(BOUND + 20):
            emit(source.picture())
        posted.set()
        again.wait(5)
        source.steady(emit)

    async with running(flood) as (bench, _):
        feed = bench.watch()
        await bench.until(lambda: bench.sources != [])
        standing.set()
        assert posted.wait(5)  # the loop stands still right here, while the source goes on
        await bench.until(lambda: bench.camera.last_frame_at is not None)
        queued = list(iter(feed.pop, None))
        again.set()
        await bench.until(lambda: (unit := feed.pop()) is not None and unit.keyframe)

        assert len(queued) == BOUND
        assert bench.camera.dropped == 20 + 1  # the last one showed that there was room again
        assert bench.sources[0].keyframes_requested == 1


async def test_a_source_that_hangs_ends_the_camera_instead_of_the_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(camera_module, "STOP_S", 0.2)
    freed = threading.Event()

    def hang(source: Scripted, emit: Emit) -> None:
        emit(source.picture())
        freed.wait(10)

    async with running(hang, linger_s=0) as (bench, task):
        feed = bench.watch()
        await bench.state("streaming")
        bench.leave(feed)
        with pytest.raises(PermanentCaptureError, match=r"scripted: for a test did not stop within 0\.2 s"):
            await asyncio.wait_for(task, 15)
        freed.set()
        await bench.until(lambda: "camera" not in [thread.name for thread in threading.enumerate()])


async def test_beside_others_a_camera_with_a_permanent_fault_rests_and_ends_nobody(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(camera_module, "PERMANENT_S", 0.5)
    wrong = fails(PermanentCaptureError("the password is wrong"))
    async with running(wrong, Scripted.steady, is_only=False) as (bench, task):
        onlooker = bench.watch()
        await bench.state("waiting")
        bench.leave(onlooker)
        onlooker = bench.watch()  # who comes and goes makes it try no sooner
        assert (len(bench.sources), bench.camera.fault) == (1, "the password is wrong")
        assert await bench.pictures(onlooker, 2)
        assert not task.done()


async def test_a_camera_that_hangs_ends_the_process_beside_others_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(camera_module, "STOP_S", 0.1)
    released = threading.Event()

    def hangs(source: Scripted, emit: Emit) -> None:
        emit(source.picture())
        released.wait(10)

    async with running(hangs, linger_s=0.0, is_only=False) as (bench, task):
        onlooker = bench.watch()
        await bench.state("streaming")
        bench.leave(onlooker)
        with pytest.raises(HungCaptureError):
            await task
        released.set()
        await bench.until(lambda: "camera" not in [thread.name for thread in threading.enumerate()])

from __future__ import annotations

import asyncio
import threading
import time

import pytest

from agent.capture import camera as camera_module
from agent.capture.camera import Camera
from agent.capture.camera_controls import Range, UnfitControl
from agent.capture.source import Source
from agent.config import CameraConfig
from agent.media.stream import Stream
from tests.agent.capture.bench import running
from tests.agent.capture.scripted import Scripted, ScriptedAdjustable


async def test_the_camera_sleeps_until_the_first_viewer() -> None:
    async with running() as (bench, _):
        await asyncio.sleep(0)
        assert bench.camera.state == "asleep"
        assert bench.sources == []
        assert bench.camera.last_frame_at is None

        assert len(await bench.pictures(bench.watch(), 5)) >= 5

        assert [state for state, _ in bench.states] == ["starting", "streaming"]
        assert bench.camera.about == "scripted: for a test"
        assert bench.camera.last_frame_at == pytest.approx(time.monotonic(), abs=0.5)


async def test_it_goes_to_sleep_a_linger_after_the_last_viewer_and_wakes_for_the_next() -> None:
    async with running(linger_s=0.3) as (bench, _):
        one, two = bench.watch(), bench.watch()
        await bench.state("streaming")
        bench.leave(one)
        bench.leave(two)
        left = time.monotonic()
        await bench.state("asleep")

        assert time.monotonic() - left > 0.25
        assert bench.sources[0].stopped.is_set()
        assert await bench.pictures(bench.watch(), 3)
        assert len(bench.sources) == 2


async def test_a_viewer_that_comes_within_the_linger_finds_the_same_run() -> None:
    async with running(linger_s=0.4) as (bench, _):
        first = bench.watch()
        await bench.state("streaming")
        bench.leave(first)
        second = bench.watch()

        last = 0
        while last < 700_000:  # well past the linger
            last = (await bench.pictures(second, 1))[-1]

        assert len(bench.sources) == 1


async def test_a_camera_that_is_always_on_runs_without_a_viewer() -> None:
    async with running(always_on=True) as (bench, _):
        await bench.state("streaming")
        feed = bench.watch()
        bench.leave(feed)
        seen_at = bench.camera.last_frame_at
        await bench.until(lambda: (bench.camera.last_frame_at or 0) > (seen_at or 0) + 0.3)

        assert len(bench.sources) == 1


async def test_the_privacy_switch_stops_the_picture_at_once_and_opens_it_again() -> None:
    async with running() as (bench, _):
        feed = bench.watch()
        await bench.pictures(feed, 3)
        bench.camera.set_privacy(True)
        list(iter(feed.pop, None))
        await bench.state("privacy")

        assert bench.sources[0].stopped.is_set()
        assert feed.pop() is None
        bench.camera.set_privacy(False)
        assert await bench.pictures(feed, 3)
        assert len(bench.sources) == 2


async def test_nothing_starts_a_camera_that_privacy_closed() -> None:
    async with running(always_on=True) as (bench, _):
        bench.camera.set_privacy(True)
        await bench.state("privacy")
        bench.watch()
        bench.camera.request_keyframe()
        bench.camera.set_bitrate(300_000)
        bench.camera.demand(5)
        await asyncio.wait({asyncio.create_task(bench.news.wait())}, timeout=0.3)

        assert bench.sources == []
        assert bench.camera.state == "privacy"


async def test_a_privacy_switch_that_is_flicked_does_not_count_as_a_fault() -> None:
    async with running() as (bench, _):
        feed = bench.watch()
        await bench.pictures(feed, 2)
        bench.camera.set_privacy(True)
        bench.camera.set_privacy(False)
        await bench.until(lambda: len(bench.sources) == 2)
        await bench.pictures(feed, 2)

        assert "waiting" not in [state for state, _ in bench.states]


async def test_a_join_reaches_the_source_as_one_keyframe_request() -> None:
    async with running() as (bench, _):
        await bench.pictures(bench.watch(), 18)  # the first keyframe is too long ago to be given again
        bench.watch()

        assert bench.sources[0].keyframes_requested == 1


async def test_a_bitrate_holds_for_this_run_and_for_the_next() -> None:
    async with running(linger_s=0) as (bench, _):
        bench.camera.set_bitrate(300_000)
        feed = bench.watch()
        await bench.state("streaming")
        bench.camera.set_bitrate(200_000)
        bench.leave(feed)
        await bench.state("asleep")
        bench.watch()
        await bench.state("streaming")

    assert [source.bitrates_bps for source in bench.sources] == [[300_000, 200_000], [200_000]]


async def test_cancelling_ends_the_source_and_its_thread_promptly() -> None:
    async with running() as (bench, task):
        await bench.pictures(bench.watch(), 2)
        began = time.monotonic()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

        assert time.monotonic() - began < camera_module.STOP_S
        assert bench.sources[0].stopped.is_set()
        assert bench.camera.state == "asleep"


async def test_making_a_slow_source_does_not_hold_up_the_loop() -> None:
    made = threading.Event()
    stream = Stream(ask=lambda: None)

    def make() -> tuple[Source, str]:
        assert made.wait(5)
        return Scripted(), "slow"

    starting = asyncio.Event()
    camera = Camera(CameraConfig(always_on=True), make, stream, on_state=lambda state: starting.set())
    task = asyncio.create_task(camera.run(), name="camera")
    await asyncio.wait_for(starting.wait(), 3)
    assert camera.state == "starting"
    task.cancel()  # while the source is only being made
    await asyncio.sleep(0)
    made.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert camera.last_frame_at is None


async def test_a_setting_changes_for_the_run_and_is_as_configured_in_the_next() -> None:
    async with running(kind=ScriptedAdjustable) as (bench, _):
        feed = bench.watch()
        await bench.pictures(feed, 1)
        assert bench.camera.ranges()["focus_dpt"] == Range(low=0.0, high=15.0)
        bench.camera.set_control("focus_dpt", 4)
        bench.leave(feed)
        await bench.state("asleep")
        await bench.pictures(bench.watch(), 1)

        assert [source.controls for source in bench.sources if isinstance(source, ScriptedAdjustable)] == [
            [{"AfMode": 0, "LensPosition": 4.0}],
            [],
        ]


async def test_a_camera_that_sleeps_has_nothing_to_set() -> None:
    async with running(kind=ScriptedAdjustable) as (bench, _):
        assert bench.camera.ranges() == {}
        with pytest.raises(UnfitControl, match=r"camera\.fps cannot be set: the camera does not run"):
            bench.camera.set_control("fps", 20)


async def test_a_kind_of_camera_that_takes_no_changes_says_so() -> None:
    async with running() as (bench, _):
        await bench.pictures(bench.watch(), 1)

        assert bench.camera.ranges() == {}
        with pytest.raises(UnfitControl, match="this kind of camera takes no changes while it runs"):
            bench.camera.set_control("fps", 20)

"""A camera whose own H.264 begins with no keyframe: what else it has is taken, or else it is waited for longer."""

from __future__ import annotations

import asyncio
import itertools
import logging
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

import pytest

from agent.capture import camera as camera_module
from agent.capture import devices, v4l2
from agent.capture.camera import Camera, State
from agent.capture.choose import Choice
from agent.capture.modes import Chosen, Mode
from agent.capture.reader import Taken
from agent.config import CameraConfig
from agent.media.stream import Stream
from tests.agent.capture.test_v4l2 import Played
from tests.kit import clips
from tests.kit.arrivals import until
from tests.kit.onlooker import Onlooker

CONFIG = CameraConfig(source="v4l2:/dev/video0", width=640, height=360, fps=25, bitrate_bps=1_000_000)
H264, MJPEG = Mode("H264", 640, 360, (25.0,)), Mode("MJPG", 640, 360, (25.0,))


class Endless(Played):
    """The pictures of a file again and again; before `late_s` seconds of them have come, none that is a keyframe."""

    def __init__(self, path: Path, late_s: float = 0) -> None:
        super().__init__(path)
        self.late_s = late_s

    def pictures(self, stopped: Callable[[], bool], silent_s: float) -> Iterator[Taken]:
        began = time.monotonic()
        for index, picture in enumerate(itertools.cycle(self._pictures)):
            if stopped():
                return
            if time.monotonic() - began >= self.late_s or index % len(self._pictures):
                yield Taken(memoryview(picture), (index + 1) * 10_000)
            time.sleep(0.01)


class Watched:
    """A camera with a viewer, on a driver that gives these; `taken` is what it was asked for, run by run."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, offered: list[Mode], played: dict[str, Played]) -> None:
        def reading(device: Path, chosen: Chosen) -> AbstractContextManager[Played]:
            self.taken.append(chosen.fourcc)
            pictures = played[chosen.fourcc]
            pictures.chosen = chosen
            return nullcontext(pictures)

        self.taken: list[str] = []
        self.faults: list[str] = []
        monkeypatch.setattr(devices, "modes", lambda *asked: offered)
        monkeypatch.setattr(v4l2, "reading", reading)
        monkeypatch.setattr(camera_module, "_BACKOFF_S", 0.01)
        self.stream = Stream(ask=lambda: self.camera.request_keyframe())
        self.camera = Camera(CONFIG, Choice(CONFIG), {"main": self.stream}, on_state=self._note)

    async def __aenter__(self) -> Watched:
        self.stream.subscribe(Onlooker(lambda: None), time.monotonic())
        self.camera.demand(1)
        self._running = asyncio.create_task(self.camera.run())
        return self

    async def __aexit__(self, *error: object) -> None:
        self._running.cancel()
        await asyncio.gather(self._running, return_exceptions=True)

    def _note(self, state: State) -> None:
        if self.camera.fault is not None:
            self.faults.append(self.camera.fault)


async def test_what_else_it_offers_is_taken_from_then_on_and_the_log_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "agent.capture")
    monkeypatch.setattr(v4l2, "FRUITLESS_S", 0.2)
    late = Endless(clips.remuxed(tmp_path / "camera.h264", pictures=20), late_s=3600)
    played: dict[str, Played] = {"H264": late, "MJPG": Endless(clips.mjpeg(tmp_path / "camera.mkv", pictures=10))}
    async with Watched(monkeypatch, [H264, MJPEG], played) as watched:
        await until(lambda: watched.camera.state == "streaming", within_s=20)
        name = watched.camera.name or ""
        watched.camera.set_privacy(True)
        await until(lambda: watched.camera.state == "privacy", within_s=20)
        watched.camera.set_privacy(False)
        await until(lambda: watched.camera.state == "streaming", within_s=20)

    fault = (
        "/dev/video0: the camera's own H.264 began with no keyframe for 0.2 s; "
        "what else it offers goes first from now on"
    )
    assert watched.taken == ["H264", "MJPG", "MJPG"]
    assert watched.faults == [fault]
    assert name.endswith("MJPG to libx264")
    said = [record.getMessage() for record in caplog.records]
    assert f"camera waiting: {fault}" in said
    assert (
        "/dev/video0: MJPG 640x360 at 25 fps, because there is no raw picture of this size; "
        "its own H.264 began with no keyframe"
    ) in said


async def test_where_that_is_nothing_its_keyframe_is_waited_for_as_long_as_an_ip_cameras(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(v4l2, "FRUITLESS_S", 0.2)
    late = Endless(clips.remuxed(tmp_path / "camera.h264", pictures=20), late_s=0.6)
    async with Watched(monkeypatch, [H264], {"H264": late}) as watched:
        await until(lambda: watched.camera.state == "streaming", within_s=20)

    assert watched.taken == ["H264", "H264"]
    assert len(watched.faults) == 1


async def test_one_that_never_has_a_keyframe_is_given_up_each_time_and_says_that_there_is_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(v4l2, "FRUITLESS_S", 0.1)
    monkeypatch.setattr(v4l2, "KEYFRAME_S", 0.3)
    late = Endless(clips.remuxed(tmp_path / "camera.h264", pictures=20), late_s=3600)
    async with Watched(monkeypatch, [H264], {"H264": late}) as watched:
        await until(lambda: len(watched.faults) >= 3, within_s=20)

    assert (
        watched.faults[1:3]
        == ["/dev/video0: the camera's own H.264 began with no keyframe for 0.3 s; it offers nothing else"] * 2
    )

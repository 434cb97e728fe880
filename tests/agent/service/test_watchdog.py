import asyncio
import contextlib
import logging
import socket
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from agent.service.watchdog import Progress, feed


@dataclass
class Camera:
    state: str = "asleep"
    since: float = 0.0
    frame_at: float | None = None

    def progress(self) -> Progress:
        return Progress(
            camera_state=lambda: self.state, state_since=lambda: self.since, last_frame_at=lambda: self.frame_at
        )


@pytest.fixture
async def systemd(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind(str(tmp_path / "notify"))
        listening.setblocking(False)
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        yield listening


@contextlib.asynccontextmanager
async def feeding(*cameras: Camera) -> AsyncIterator[None]:
    task = asyncio.create_task(feed([camera.progress() for camera in cameras], 0.01), name="watchdog")
    try:
        yield
    finally:
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task


async def heard(systemd: socket.socket) -> bytes:
    return await asyncio.wait_for(asyncio.get_running_loop().sock_recv(systemd, 4096), 5)


async def heard_instead_of_a_ping(systemd: socket.socket) -> bytes:
    while (datagram := await heard(systemd)) == b"WATCHDOG=1":
        pass
    return datagram


def heard_while_the_loop_hangs(systemd: socket.socket) -> Iterator[bytes]:
    systemd.settimeout(0.1)
    with contextlib.suppress(TimeoutError):
        while True:
            yield systemd.recv(4096)
    systemd.setblocking(False)


def test_a_camera_that_streams_is_well_while_frames_leave_the_encoder() -> None:
    progress = Camera(state="streaming", since=0, frame_at=100).progress()
    assert progress.stuck(110) is None
    assert progress.stuck(110.5) == "no frame left the encoder of the camera for 10 s"


def test_a_camera_that_has_just_begun_to_stream_is_not_judged_by_its_last_run() -> None:
    progress = Camera(state="streaming", since=500, frame_at=100).progress()
    assert progress.stuck(509) is None
    assert progress.stuck(511) == "no frame left the encoder of the camera for 11 s"


def test_a_camera_that_never_gave_a_frame_is_stuck_too() -> None:
    progress = Camera(state="streaming", since=500).progress()
    assert progress.stuck(509) is None
    assert progress.stuck(512) == "no frame left the encoder of the camera for 12 s"


def test_starting_may_take_three_times_as_long() -> None:
    progress = Camera(state="starting", since=100).progress()
    assert progress.stuck(130) is None
    assert progress.stuck(131) == "the camera has been starting for 31 s"


@pytest.mark.parametrize("state", ["asleep", "waiting", "closed"])
def test_a_camera_that_sleeps_waits_or_is_closed_is_never_stuck(state: str) -> None:
    assert Camera(state=state, since=0, frame_at=1).progress().stuck(1e6) is None


async def test_systemd_hears_pings_while_nothing_is_stuck(systemd: socket.socket) -> None:
    async with feeding(Camera()):
        assert [await heard(systemd) for _ in range(3)] == [b"WATCHDOG=1"] * 3


async def test_a_stuck_camera_ends_the_pings_with_one_line_in_the_log(
    systemd: socket.socket, caplog: pytest.LogCaptureFixture
) -> None:
    now = asyncio.get_running_loop().time()
    camera = Camera(state="streaming", since=now - 60, frame_at=now)
    caplog.set_level(logging.INFO)
    async with feeding(camera):
        assert await heard(systemd) == b"WATCHDOG=1"
        camera.frame_at = now - 20
        assert await heard_instead_of_a_ping(systemd) == b"STATUS=no frame left the encoder of the camera for 20 s"
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(asyncio.get_running_loop().sock_recv(systemd, 4096), 0.1)
        assert caplog.messages == [
            "no frame left the encoder of the camera for 20 s; systemd restarts the service unless that changes"
        ]
        camera.state = "waiting"
        assert await heard(systemd) == b"WATCHDOG=1"
    assert caplog.messages[1:] == ["the camera moves again"]


async def test_of_several_cameras_a_single_stuck_one_ends_the_pings(systemd: socket.socket) -> None:
    now = asyncio.get_running_loop().time()
    async with feeding(Camera(), Camera(state="streaming", since=now - 60, frame_at=now - 20), Camera()):
        assert await heard(systemd) == b"STATUS=no frame left the encoder of the camera for 20 s"


async def test_a_loop_that_hangs_feeds_nobody(systemd: socket.socket) -> None:
    async with feeding(Camera()):
        assert await heard(systemd) == b"WATCHDOG=1"
        # Blocking on the loop's own thread is the hang: what still comes was sent before it.
        late = list(heard_while_the_loop_hangs(systemd))
        assert len(late) <= 1
        assert await heard(systemd) == b"WATCHDOG=1"

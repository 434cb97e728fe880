"""Sources that are pulled away, again and again: pictures come back each time, and nothing is left behind."""

from __future__ import annotations

import asyncio
import gc
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from agent.capture import camera as camera_module
from agent.capture.camera import Camera
from agent.capture.choose import Choice
from agent.config import CameraConfig
from agent.media.stream import Stream
from tests.kit import clips
from tests.kit.arrivals import until
from tests.kit.ip_camera import IpCamera, ip_camera

pytestmark = pytest.mark.pulls
PULLS = 50
LEAST_BYTES = 12_000_000  # what any run may take more: caches that fill, and an allocator's pages


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(camera_module, "_BACKOFF_S", 0.2)
    monkeypatch.setattr(camera_module, "_LONGEST_BACKOFF_S", 0.4)


@pytest.fixture
def ip(tmp_path: Path) -> Iterator[IpCamera]:
    with ip_camera(clips.remuxed(tmp_path / "camera.mp4", pictures=20, passes=200)) as camera:
        yield camera


async def _pull(config: CameraConfig, pull: Callable[[], None], bring_back: Callable[[], None]) -> None:
    """Watch a camera, and take it away and bring it back PULLS times."""
    streams = {name: Stream(name, ask=lambda: None, sent=lambda: None, origin=0) for name in ("main", "sub")}
    camera = Camera(config, Choice(config), streams)  # type: ignore[arg-type]  # the names are literals
    running = asyncio.create_task(camera.run())
    camera.demand(1)
    await until(lambda: camera.state == "streaming", within_s=20)
    process = psutil.Process()
    sizes = []
    for _ in range(PULLS):
        pull()
        await until(lambda: camera.state == "waiting", within_s=20)
        bring_back()
        await until(lambda: camera.state == "streaming", within_s=20)
        gc.collect()
        sizes.append((process.num_fds(), threading.active_count(), process.memory_info().rss))
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)

    # Compared with the first time, when everything that is loaded once had been loaded.
    (fds, threads, rss), (last_fds, last_threads, last_rss) = sizes[0], sizes[-1]
    assert (last_fds, last_threads) == (fds, threads)
    assert last_rss - rss < LEAST_BYTES


@pytest.mark.timeout(60 + 20 * PULLS)
async def test_an_ip_camera_that_loses_its_power(ip: IpCamera) -> None:
    await _pull(CameraConfig(source=ip.url), ip.switch_off, ip.switch_on)


@pytest.mark.timeout(60 + 20 * PULLS)
async def test_an_ip_camera_that_freezes(ip: IpCamera) -> None:
    def power_cycle() -> None:
        ip.switch_off()
        ip.switch_on()

    await _pull(CameraConfig(source=ip.url), ip.freeze, power_cycle)

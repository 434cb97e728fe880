"""Viewers and then their camera get another address while the picture runs: real processes, and a real browser."""

from __future__ import annotations

import asyncio
import itertools
from pathlib import Path

import av
import pytest
from playwright.async_api import Page, async_playwright, expect

from tests.kit.link import needs_root
from tests.kit.link_viewer import viewer
from tests.kit.roads import Roads, roads

pytestmark = [pytest.mark.links, pytest.mark.browser, pytest.mark.broker, needs_root, pytest.mark.timeout(120)]
BACK_WITHIN_S = 3.0

_NOTE = """(video) => {
    window.pictures = [];
    const note = (now) => {
        pictures.push((performance.timeOrigin + now) / 1000);
        video.requestVideoFrameCallback(note);
    };
    video.requestVideoFrameCallback(note);
    window.gaps = 0;
    setInterval(() => { if (video.readyState < 2 || !video.videoWidth) gaps += 1; }, 10);
}"""


async def back(page: Page, moved_at: float) -> float:
    """How long after `moved_at` the picture was back, in seconds: the end of the longest time without one."""
    async with asyncio.timeout(30):
        while (pictures := await page.evaluate("pictures"))[-1] < moved_at + BACK_WITHIN_S + 1:
            await asyncio.sleep(0.2)
    later = [at for at in pictures if at > moved_at - 0.5]
    _, end = max(itertools.pairwise(later), key=lambda pair: pair[1] - pair[0])
    return float(end - moved_at)


def sessions_moved(place: Roads) -> list[str]:
    """The sids in the camera's log, one for each time that a session moved."""
    lines = [line for line in place.camera.lines if "moved to another connection" in line]
    return [line.split("session ")[1].split(":")[0] for line in lines]


def longest_pause_s(recording: Path) -> float:
    """The longest time without a picture, by the camera's clock."""
    with av.open(recording) as file:
        times_s = [float(packet.pts * packet.time_base) for packet in file.demux(video=0) if packet.pts is not None]
    return max(later - earlier for earlier, later in itertools.pairwise(times_s))


async def test_the_picture_is_soon_back_when_its_viewers_and_when_their_camera_have_moved(tmp_path: Path) -> None:
    recording = tmp_path / "seen.mp4"
    async with (
        roads(tmp_path) as place,
        place.watching("--record", str(recording), "--seconds", "14") as shell,
        async_playwright() as playwright,
        viewer(playwright, place.away, tmp_path, "--ignore-certificate-errors") as browser,
    ):
        page, grants = browser.page, list[str]()
        page.on("request", lambda request: grants.append(request.url) if "grants" in request.url else None)
        await page.goto(f"{place.origin}/#code={place.new_code()}")
        await page.locator("#devices li[data-device] button").click()
        await expect(page.locator("#state")).to_have_text("Live")
        await page.locator("#player video").evaluate(_NOTE)
        await shell.says(" fps ")
        async with asyncio.timeout(20):
            while await page.evaluate("pictures.length") < 30:
                await asyncio.sleep(0.1)

        by_viewer_s = await back(page, place.move_viewer())
        await asyncio.sleep(1.5)
        by_camera_s = await back(page, place.move_camera())

        assert by_viewer_s < BACK_WITHIN_S
        assert by_camera_s < BACK_WITHIN_S
        assert await page.evaluate("gaps") == 0, "the video was empty at times"
        assert len(grants) == 1
        async with asyncio.timeout(40):
            assert await shell.process.wait() == 0, shell.lines
        assert longest_pause_s(recording) < BACK_WITHIN_S
        moved = sessions_moved(place)
        assert sorted(moved.count(sid) for sid in set(moved)) == [2, 2]
        assert len([line for line in place.camera.lines if "viewer joined" in line]) == 2
        assert len([line for line in place.camera.lines if "viewer left" in line]) == 1, "the shell's, at its end"

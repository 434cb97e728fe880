"""From `camward demo` to a verified picture in Chromium: what a newcomer sees in the first minute."""

from __future__ import annotations

from pathlib import Path

import psutil
import pytest
from playwright.async_api import Browser, Page, async_playwright, expect

from tests.kit.chromium import launch
from tests.kit.clips import remuxed
from tests.kit.demo import demo, open_camera, see_more

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("demo"), pytest.mark.timeout(120)]


@pytest.mark.parametrize("broker", ["embedded", "mosquitto"])
async def test_the_demo_shows_a_moving_picture_of_a_verified_camera(
    tmp_path: Path, page: Page, screenshots: Path, broker: str
) -> None:
    async with demo(tmp_path, "--broker", broker) as running:
        await open_camera(page, running)
        await see_more(page)

        identity = await page.locator("#identity").inner_text()
        enrolled_as = (await running.says(r"enrolled as (\w{26})"))[1]
        assert "Verified" in identity
        assert enrolled_as in identity
        assert "equal to the one in DTLS" in identity
        for figure in ("1280 \u00d7 720", " fps", "bit/s"):
            await expect(page.locator("#figures")).to_contain_text(figure)
        await page.screenshot(path=screenshots / f"live-{broker}.png", full_page=True)


async def test_real_footage_plays_as_it_is(tmp_path: Path, page: Page, screenshots: Path) -> None:
    footage = remuxed(tmp_path / "bunny.mp4", pictures=130)
    async with demo(tmp_path / "demo", "--source", f"clip:{footage}") as running:
        await open_camera(page, running)
        await see_more(page, 50)
        await page.screenshot(path=screenshots / "live-clip.png", full_page=True)


async def test_of_two_viewers_one_may_leave_without_disturbing_the_other(tmp_path: Path, browser: Browser) -> None:
    async with demo(tmp_path) as running:
        address, code = await running.address()
        context = await browser.new_context()
        first, second = await context.new_page(), await context.new_page()
        await first.goto(f"{address}/#code={code}")
        await first.locator("#devices li[data-device] button").click()
        await expect(first.locator("#state")).to_have_text("Live")
        await second.goto(address)
        await second.locator("#devices li[data-device] button").click()
        await expect(second.locator("#state")).to_have_text("Live")
        await running.says("2 watching")

        await first.close()
        await see_more(second, 60)
        await running.says("a viewer left, 1 watching")


async def test_a_viewer_that_is_killed_frees_its_session_and_the_camera_falls_asleep(tmp_path: Path) -> None:
    async with demo(tmp_path) as running, async_playwright() as playwright:
        before = set(psutil.Process().children(recursive=True))
        browser = await launch(playwright)
        chromium = set(psutil.Process().children(recursive=True)) - before
        await open_camera(await browser.new_page(), running)
        await running.says("a viewer joined, 1 watching")

        for process in chromium:
            if process.is_running() and "chromium" in process.name():
                process.kill()

        await running.says("a viewer left, 0 watching", 60)
        await running.says("camera asleep", 30)


async def test_ctrl_c_ends_everything_without_a_word_of_python(tmp_path: Path, page: Page) -> None:
    async with demo(tmp_path) as running:
        await open_camera(page, running)
        children = psutil.Process(running.process.pid).children(recursive=True)
        assert children

        assert await running.interrupt() == 0

        assert not [child for child in children if child.is_running()]
        assert not [line for line in running.lines if "Traceback" in line or "Error" in line]
        await expect(page.locator("#message")).to_be_visible()

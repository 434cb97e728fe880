"""A board with two cameras, its fleet, mosquitto, and two viewers: a browser at one, `camward view` at the other."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Page, expect

from tests.kit.demo import see_more
from tests.kit.device import RunningDevice, device_config, running
from tests.kit.pki import enrol, utc_now
from tests.kit.serving import Served, serving

pytestmark = [pytest.mark.browser, pytest.mark.broker, pytest.mark.timeout(120)]


@dataclass
class Board:
    """What the test plays with."""

    served: Served
    id: str
    device: RunningDevice

    def code(self) -> str:
        return self.served.people.new_code("anna", utc_now())


@pytest.fixture
async def board(tmp_path: Path) -> AsyncIterator[Board]:
    async with serving(tmp_path / "fleet", "mosquitto") as served:
        served.people.permit("anna", device="*", scope=frozenset({"live"}), is_app=False, now=utc_now())
        enrolled = enrol(served.fleet, served.registry, "SN1")
        # Without a smaller stream: a busy machine looks like a weak link.
        cameras: dict[str, dict[str, Any]] = {
            "camera": {"sub_bitrate_bps": 0},
            "cameras.door": {"width": 320, "height": 180},
            "cameras.garden": {"width": 240, "height": 240},
        }
        async with running(device_config(served.fleet, enrolled, tmp_path / "device", **cameras)) as device:
            yield Board(served, enrolled.id, device)


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not condition():
            await asyncio.sleep(0.05)


async def size(page: Page) -> list[int]:
    return await page.locator("#player video").evaluate("(video) => [video.videoWidth, video.videoHeight]")


async def view(board: Board, directory: Path, camera: str, seconds: int) -> asyncio.subprocess.Process:
    code = directory / "code"
    code.write_text(board.code())
    root = board.served.fleet.directory / "root.pem"
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "camward", "view", "--device", board.id, "--camera", camera, "--json"),
        *("--fleet", board.served.page, "--root", str(root), "--code-file", str(code), "--seconds", str(seconds)),
        stdout=asyncio.subprocess.PIPE,
    )


async def test_each_of_two_viewers_sees_its_own_camera_which_sleeps_when_they_leave(
    board: Board, page: Page, tmp_path: Path, screenshots: Path
) -> None:
    await page.goto(f"{board.served.page}/#code={board.code()}")
    await page.locator("#devices li[data-device] button").click()
    await expect(page.locator("#state")).to_have_text("Live")
    assert await size(page) == [320, 180]
    assert (board.device.cameras["door"], board.device.cameras["garden"]) == ("streaming", "asleep")

    watching = await view(board, tmp_path, "garden", seconds=5)
    await until(lambda: board.device.cameras["garden"] == "streaming")
    await see_more(page)
    said, _ = await watching.communicate()

    report = json.loads(said)
    assert (report["reason"], report["width"], report["height"]) == ("done", 240, 240)
    await until(lambda: board.device.cameras["garden"] == "asleep")
    assert board.device.cameras["door"] == "streaming"

    views = page.locator("#camera")
    await expect(views.locator("option")).to_have_text(["door", "garden"])
    await views.focus()
    await page.keyboard.press("ArrowDown")
    await expect(page.locator("#state")).to_have_text("Live")
    await until(lambda: board.device.cameras["door"] == "asleep")
    await expect(views).to_be_focused()
    await see_more(page)
    assert await size(page) == [240, 240]
    await page.screenshot(path=screenshots / "two-cameras.png", full_page=True)

    await page.locator("#close").click()
    await expect(views).to_be_hidden()
    await until(lambda: board.device.cameras["garden"] == "asleep")


async def test_a_camera_that_is_not_there_is_named_with_those_that_are(board: Board, tmp_path: Path) -> None:
    refused = await view(board, tmp_path, "cellar", seconds=1)
    said, _ = await refused.communicate()

    assert refused.returncode == 3
    report = json.loads(said)
    assert (report["reason"], report["message"]) == (
        "no-camera",
        "This device has no camera of the name cellar: it has door, garden.",
    )
    assert board.device.opened == 0

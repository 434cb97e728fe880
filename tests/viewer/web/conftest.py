"""A browser for the whole run; for each test a small fleet, two cameras, and a page."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import pytest_asyncio
from aiohttp import web
from playwright.async_api import Browser, Page, async_playwright, expect

from tests.kit.chromium import launch
from tests.kit.coturn import Coturn, coturn
from tests.kit.pki import make_fleet
from tests.viewer.web.camera import Camera
from tests.viewer.web.small_fleet import SmallFleet

INSECURE_HOST = "camward.test"
# What the page has said of its state, one after the other, and whether the picture stood uncovered meanwhile: a state
# may be over before anybody looks.
REMEMBER_STATES = """
    globalThis.shown = [];
    addEventListener("DOMContentLoaded", () => {
        const state = document.getElementById("state"), cover = document.getElementById("cover");
        const note = () => shown.push([state.textContent, getComputedStyle(cover).display === "none"]);
        if (state) new MutationObserver(note).observe(state, { childList: true });
    });
"""


@dataclass(kw_only=True)
class World:
    """What a test of the viewer plays with."""

    fleet: SmallFleet
    porch: Camera
    barn: Camera
    page: Page
    port: int

    @property
    def origin(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def sign_in(self) -> None:
        self.fleet.codes.add("right-code")
        await self.page.goto(f"{self.origin}/#code=right-code")
        await expect(self.page.locator("#devices li")).to_have_count(len(self.fleet.cameras))

    async def click(self, camera: Camera) -> None:
        await self.page.locator(f'#devices li[data-device="{camera.id}"] button').click()

    async def see(self, camera: Camera) -> None:
        await self.click(camera)
        await expect(self.page.locator("#state")).to_have_text("Live")

    async def reconnects(self, within_s: float = 40.0) -> None:
        """Wait until the page has said that it reconnects; the last picture stayed to be seen."""
        async with asyncio.timeout(within_s):
            while ["Reconnecting\u2026", True] not in await self.page.evaluate("shown"):
                await asyncio.sleep(0.05)

    async def is_back(self) -> None:
        """Wait until the page, which reconnects or has done so, is live again."""
        await self.reconnects()
        await expect(self.page.locator("#state")).to_have_text("Live")

    async def message(self, code: str) -> None:
        """Wait until the page says the sentence of `code`."""
        await expect(self.page.locator("#message")).to_have_attribute("data-code", code)
        wanted = await self.page.evaluate(f"import('/web/sentences.js').then((m) => m.sentence('{code}'))")
        await expect(self.page.locator("#message")).to_have_text(wanted)
        await expect(self.page.locator("#message")).to_be_visible()

    async def decodes_more(self, pictures: int = 10) -> None:
        """Wait for so many more pictures; the page's policy forbids Playwright's own way to wait."""
        wait = """(video, more) => new Promise((resolve) => {
            const count = () => video.getVideoPlaybackQuality().totalVideoFrames;
            const wanted = count() + more;
            const timer = setInterval(() => count() >= wanted && resolve(clearInterval(timer)), 40);
        })"""
        await self.page.locator("#player video").evaluate(wait, pictures)

    async def shows_nothing(self) -> None:
        """No picture is there, none has been, and nothing is said about who it would be."""
        seen = "(video) => [video.srcObject, video.videoWidth, video.getVideoPlaybackQuality().totalVideoFrames]"
        assert await self.page.locator("#player video").evaluate(seen) == [None, 0, 0]
        await expect(self.page.locator("#identity")).to_be_hidden()


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def browser() -> AsyncIterator[Browser]:
    async with async_playwright() as playwright:
        browser = await launch(playwright, f"--host-resolver-rules=MAP {INSECURE_HOST} 127.0.0.1")
        yield browser
        await browser.close()


@pytest_asyncio.fixture(loop_scope="session")
async def world(browser: Browser) -> AsyncIterator[World]:
    porch, barn = Camera("Front porch"), Camera("Barn")
    fleet = SmallFleet(porch, barn)
    runner = web.AppRunner(fleet.app())
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    context = await browser.new_context(viewport={"width": 1280, "height": 900})
    page = await context.new_page()
    await page.add_init_script(REMEMBER_STATES)
    faults: list[str] = []
    page.on("pageerror", lambda fault: faults.append(str(fault)))
    page.on("console", lambda line: "Content Security Policy" in line.text and faults.append(line.text))
    yield World(fleet=fleet, porch=porch, barn=barn, page=page, port=runner.addresses[0][1])
    await context.close()
    await fleet.close()
    await runner.cleanup()
    assert not faults, "the page threw an error or broke its policy"


@pytest.fixture(scope="session")
def screenshots() -> Callable[[Page, str], Awaitable[object]]:
    """Keep what the page looks like, where people and CI can look at it."""
    folder = Path("test-results/viewer-web")
    folder.mkdir(parents=True, exist_ok=True)
    return lambda page, name: page.screenshot(path=folder / f"{name}.png", full_page=True)


@pytest.fixture(scope="module")
def relay(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Coturn]:
    """A TURN server on this machine."""
    directory = tmp_path_factory.mktemp("relay")
    with contextlib.ExitStack() as stack:
        probes = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(2)]
        ports = tuple(probe.getsockname()[1] for probe in probes)
    with coturn("127.0.0.1", make_fleet(directory / "fleet"), directory / "coturn", ports=ports) as server:
        yield server

"""A browser, a folder for what it saw, and a town with a camera in it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page, async_playwright

from protocol.names import Role, device_id
from tests.kit.caller import TrustTree
from tests.kit.chromium import launch
from tests.kit.house import House, open_house
from tests.kit.patterned import pattern_stream
from tests.kit.town import Town, town


@pytest_asyncio.fixture
async def browser() -> AsyncIterator[Browser]:
    async with async_playwright() as playwright:
        browser = await launch(playwright)
        yield browser
        await browser.close()


@pytest_asyncio.fixture
async def page(browser: Browser) -> Page:
    return await browser.new_page(viewport={"width": 1200, "height": 1100})


@pytest.fixture
def screenshots(request: pytest.FixtureRequest) -> Path:
    """Where CI keeps what the browser saw."""
    directory = request.config.rootpath / "test-results"
    directory.mkdir(exist_ok=True)
    return directory


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Town]:
    with town(tmp_path_factory.mktemp("town")) as built:
        yield built


@pytest.fixture
async def house(place: Town) -> AsyncIterator[House]:
    """The sessions of the camera in the town."""
    device = TrustTree().leaf(Role.DEVICE, device_id(bytes(16)))
    async with pattern_stream() as stream, open_house(stream, device) as house:
        yield house

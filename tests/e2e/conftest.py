"""A browser for the whole run, and a folder for what it saw."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page, async_playwright

from tests.kit.chromium import launch


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

"""The latency that the page says, against the time that stands in the picture."""

from __future__ import annotations

import asyncio
import re
import statistics
from pathlib import Path

import pytest
from playwright.async_api import Page, expect

from benchmarks.latency_page import keep_connections, read, start_reading, take
from tests.kit.demo import demo, open_camera

pytestmark = [pytest.mark.browser, pytest.mark.links]


async def test_the_latency_on_the_page_is_the_age_of_the_picture(tmp_path: Path, page: Page) -> None:
    async with demo(tmp_path) as running:
        await keep_connections(page)
        await open_camera(page, running)
        figure = page.locator("#figures").get_by_test_id("latency")
        await expect(figure).to_have_text(re.compile(r"about \d+ ms"))
        await start_reading(page, 1280, 720)
        said = []
        for _ in range(5):
            await asyncio.sleep(1)
            said += [int(number) for number in re.findall(r"\d+", await figure.inner_text())]

        seen, _ = await take(page)

        drawn = [(one, milliseconds) for one in seen if (milliseconds := read(one["dots"])) is not None]
        ages = [(one["seenTime"] + one["toUnix"] - milliseconds) % 60_000 for one, milliseconds in drawn]
        assert abs(statistics.median(said) - statistics.median(ages)) < 30

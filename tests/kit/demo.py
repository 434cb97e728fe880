"""`camward demo` as a process, its lines, and a browser in front of it."""

from __future__ import annotations

import asyncio
import contextlib
import re
import signal
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

from playwright.async_api import Page, expect

_ADDRESS = re.compile(r"ready: open (https?://\S+)/#code=(\S+)")


@dataclass
class Demo:
    """A demo that runs. `lines` is what it printed so far."""

    process: asyncio.subprocess.Process
    lines: list[str] = field(default_factory=list)
    _printed: asyncio.Condition = field(default_factory=asyncio.Condition)

    async def read(self) -> None:
        assert self.process.stdout is not None
        async for raw in self.process.stdout:
            async with self._printed:
                self.lines.append(raw.decode().rstrip())
                self._printed.notify_all()
        async with self._printed:
            self._printed.notify_all()

    async def says(self, pattern: str, within_s: float = 30.0) -> re.Match[str]:
        """Wait for a line with `pattern`, among those not waited for before. Errors: TimeoutError."""
        return await self._find(re.compile(pattern), within_s)

    async def _find(self, pattern: re.Pattern[str], within_s: float) -> re.Match[str]:
        seen = 0

        def look() -> re.Match[str] | None:
            nonlocal seen
            for line in self.lines[seen:]:
                seen += 1
                if match := pattern.search(line):
                    return match
            return None

        try:
            async with asyncio.timeout(within_s), self._printed:
                while (match := look()) is None:
                    await self._printed.wait()
                return match
        except TimeoutError:
            raise AssertionError(f"no line with {pattern.pattern!r} in:\n" + "\n".join(self.lines)) from None

    async def address(self) -> tuple[str, str]:
        """Wait until it is ready; give the page's address and the sign-in code."""
        match = await self._find(_ADDRESS, 40.0)
        return match[1], match[2]

    async def interrupt(self) -> int:
        """Press Ctrl-C, and give the exit code."""
        self.process.send_signal(signal.SIGINT)
        async with asyncio.timeout(40):
            return await self.process.wait()


@contextlib.asynccontextmanager
async def demo(directory: Path, *options: str) -> AsyncIterator[Demo]:
    """Run `camward demo` in `directory`, and end it."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "camward", "demo", "--no-browser", "--dir", str(directory), *options),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    running = Demo(process)
    reading = asyncio.create_task(running.read())
    try:
        yield running
    finally:
        if process.returncode is None:
            await running.interrupt()
        await reading


async def open_camera(page: Page, demo: Demo) -> None:
    """Sign in, click the one camera, and wait until it is live."""
    address, code = await demo.address()
    await page.goto(f"{address}/#code={code}")
    await page.locator("#devices li[data-device] button").click()
    await expect(page.locator("#state")).to_have_text("Live")


async def see_more(page: Page, pictures: int = 15) -> None:
    """Wait until the page has shown so many more pictures."""
    await page.locator("#player video").evaluate(
        """(video, more) => new Promise((resolve) => {
            const count = () => video.getVideoPlaybackQuality().totalVideoFrames;
            const wanted = count() + more;
            const timer = setInterval(() => count() >= wanted && resolve(clearInterval(timer)), 40);
        })""",
        pictures,
    )

"""How long a newcomer waits: from the command to ready, first and later, and from the click to a picture.

    .venv/bin/python -m benchmarks.first_picture [--clicks N]

A fresh clone in a temporary folder runs `make demo` as the README says it; Chromium clicks, once on a camera that
sleeps and then on one that is awake. Writes benchmarks/first_picture.json, with the machine.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import re
import signal
import statistics
import subprocess
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

from playwright.async_api import Page, async_playwright, expect

from benchmarks.machine import machine
from tests.kit.chromium import launch

_HERE = Path(__file__).parent
_LINGER_S = 11.0  # the camera sleeps ten seconds after its last viewer
_READY = re.compile(rb"ready: open (\S+)")


class Demo:
    """`make demo` in a clone, and how long it took to be ready."""

    def __init__(self, clone: Path) -> None:
        began = time.monotonic()
        self._process = subprocess.Popen(
            ["make", "demo", "DEMO_OPTIONS=--no-browser", "SOURCE=pattern"],
            cwd=clone,
            stdout=subprocess.PIPE,
            start_new_session=True,
        )
        assert self._process.stdout is not None
        for line in self._process.stdout:
            if found := _READY.search(line):
                self.address = found[1].decode()
                self.ready_s = time.monotonic() - began
                return
        raise SystemExit("make demo ended before it was ready")

    def end(self) -> None:
        """Press Ctrl-C, and wait."""
        os.killpg(self._process.pid, signal.SIGINT)
        self._process.communicate()


async def clicks(address: str, *, asleep: int, awake: int) -> tuple[list[float], list[float]]:
    """Click a camera that sleeps, then one that is awake; give ms from the click to the first picture shown."""
    async with async_playwright() as playwright:
        browser = await launch(playwright)
        page = await browser.new_page()
        await page.goto(address)
        of_sleeping = []
        for turn in range(asleep):
            await asyncio.sleep(_LINGER_S if turn else 0)
            of_sleeping.append(await _click(page))
        of_waking = [await _click(page) for _ in range(awake)]
        await browser.close()
    return of_sleeping, of_waking


async def _click(page: Page) -> float:
    await page.locator("#devices li[data-device] button").click()
    figure = page.locator("#figures dd[data-testid=first-picture]")
    await expect(figure).to_have_text(re.compile(r"\d"), timeout=20_000)
    text = await figure.inner_text()
    await page.locator("#close").click()
    await asyncio.sleep(1)
    return float(text.removesuffix(" ms"))


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clicks", type=int, default=15, help="on a camera that is awake (default: 15)")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        clone = Path(folder) / "camward"
        subprocess.run(["git", "clone", "--quiet", _HERE.parent, clone], check=True)
        first = Demo(clone)
        first.end()
        later = [Demo(clone)]
        asleep, awake = asyncio.run(clicks(later[0].address, asleep=3, awake=arguments.clicks))
        later[0].end()
        for _ in range(2):
            later.append(Demo(clone))
            later[-1].end()
    record = {
        "at": datetime.now(UTC).date().isoformat(),
        "machine": machine(),
        "ready_s_first_run": round(first.ready_s, 1),
        "ready_s_later_runs_median": round(statistics.median(demo.ready_s for demo in later), 1),
        "click_to_picture_ms_asleep": asleep,
        "click_to_picture_ms_awake": awake,
        "click_to_picture_ms_asleep_median": statistics.median(asleep),
        "click_to_picture_ms_awake_median": statistics.median(awake),
    }
    text = json.dumps(record, indent=2) + "\n"
    (_HERE / "first_picture.json").write_text(text)
    print(text, end="")


if __name__ == "__main__":
    main()

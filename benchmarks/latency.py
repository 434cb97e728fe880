"""How old a picture is when it is shown: from drawing and from the end of encoding, in Chromium, 720p30.

    .venv/bin/python -m benchmarks.latency [--calls N] [--minutes N]

The agent with its test pattern, a fleet with mosquitto, the fleet's own page. The picture carries the time of its
drawing in digits; a few times a second the page reads them back from the picture that it shows
(requestVideoFrameCallback and a canvas), and the agent notes when each one's encoding ended (latency_device.py). All
are on one machine, so on one clock. Seen is when the page's script has the picture; submitted (presentationTime) is
when the browser handed it to its compositor, which may be before the next refresh or at it, and expected
(expectedDisplayTime) is the browser's own guess of when it is visible, which counts its compositor's steps only where
the playout delay is 0.

Where the camera's pictures fall between two refreshes of the screen is chance, and drifts by some milliseconds a
minute: what is seen swings by a whole refresh, 17 ms. So the calls are several, each to a camera that had slept, and
of them the mean says more than the median. After them comes one long call, in which nothing may accumulate; ten
minutes of it meet every place between two refreshes. Writes benchmarks/latency.json.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import statistics
import sys
import tempfile
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from playwright.async_api import Page, async_playwright, expect

from benchmarks.latency_page import Shown, keep_connections, matched, start_reading, take
from benchmarks.machine import machine
from tests.kit.chromium import launch
from tests.kit.device import device_config
from tests.kit.pki import enrol, utc_now
from tests.kit.serving import serving
from tests.kit.site import LIVE

_HERE = Path(__file__).parent
_WIDTH, _HEIGHT = 1280, 720
_WARM_UP_S = 3.0
_CALL_S = 8.0
_ASLEEP_S = 2.0  # the camera sleeps half a second after its last viewer
# What the table shows, in milliseconds where it is a time.
_TABLE = {
    "drawn_to_encoded_ms": "drawn-encoded",
    "encoded_to_received_ms": "encoded-received",
    "encoded_to_submitted_ms": "encoded-submitted",
    "encoded_to_seen_ms": "encoded-SEEN",
    "encoded_to_seen_ms_p95": "p95",
    "encoded_to_expected_ms": "encoded-expected",
    "drawn_to_seen_ms": "drawn-SEEN",
    "jitter_buffer_ms": "jitter buffer",
    "fps": "fps",
    "frames_dropped": "dropped",
    "freezes": "freezes",
    "packets_lost": "lost",
    "pictures_read": "read",
    "pictures_not_matched": "unmatched",
}


@contextlib.asynccontextmanager
async def calling(directory: Path) -> AsyncIterator[tuple[Page, Path]]:
    """Run broker, fleet, agent and browser; give the page with a camera that sleeps, and the file of its times."""
    async with serving(directory / "fleet", "mosquitto") as served, async_playwright() as playwright:
        device = enrol(served.fleet, served.registry, "SN1")
        camera = {"source": "pattern", "width": _WIDTH, "height": _HEIGHT, "fps": 30}
        config = device_config(served.fleet, device, directory / "device", camera=camera, log={"level": "warning"})
        times = directory / "times"
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "benchmarks.latency_device", times, "run", "--config", config, cwd=_HERE.parent
        )
        try:
            served.people.permit("anna", device="*", scope=LIVE, is_app=False, now=utc_now())
            browser = await launch(playwright)
            page = await browser.new_page()
            await keep_connections(page)
            await page.goto(f"{served.page}/#code={served.people.new_code('anna', utc_now())}")
            await expect(page.locator("#devices [data-presence=online]")).to_have_count(1, timeout=20_000)
            yield page, times
            await browser.close()
        finally:
            process.terminate()
            await process.wait()


async def call(page: Page, times: Path, *, seconds: float, parts: int = 1) -> AsyncIterator[dict[str, Any]]:
    """Call the camera and watch it for `parts` times `seconds`; give a record of each part."""
    await page.locator("#devices li[data-device] button").click()
    await expect(page.locator("#state")).to_have_text("Live", timeout=20_000)
    await start_reading(page, _WIDTH, _HEIGHT)
    await asyncio.sleep(_WARM_UP_S)
    _, before = await take(page)
    for _ in range(parts):
        await asyncio.sleep(seconds)
        seen, after = await take(page)
        shown, misread = matched(seen, await asyncio.to_thread(times.read_text))
        yield record(shown, misread, before, after)
        before = after
    await page.locator("#close").click()
    await asyncio.sleep(_ASLEEP_S)


async def measure(calls: int, minutes: int) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Make the short calls and the long one; give a record of each call, and of each minute."""
    print(" " * 9, *_TABLE.values(), sep="  ")
    with tempfile.TemporaryDirectory() as folder:
        async with calling(Path(folder)) as (page, times):
            of_calls, of_minutes = [], []
            for number in range(1, calls + 1):
                async for one in call(page, times, seconds=_CALL_S):
                    of_calls.append(one)
                    print_row(f"call {number}", one)
            if minutes:
                async for one in call(page, times, seconds=60, parts=minutes):
                    of_minutes.append(one)
                    print_row(f"minute {len(of_minutes)}", one)
            return of_calls, of_minutes


def record(shown: Sequence[Shown], misread: int, before: dict[str, Any], after: dict[str, Any]) -> dict[str, Any]:
    """Sum up one call or minute; `before` and `after` are the browser's statistics."""
    assert shown, "no picture could be read"
    more = {name: after[name] - before[name] for name in after if isinstance(after[name], int | float)}
    ages = sorted(one.seen - one.encoded for one in shown)
    return {
        "drawn_to_encoded_ms": median([one.encoded - one.drawn for one in shown]),
        "encoded_to_received_ms": median([one.received - one.encoded for one in shown]),
        "received_to_submitted_ms": median([one.submitted - one.received for one in shown]),
        "encoded_to_submitted_ms": median([one.submitted - one.encoded for one in shown]),
        "encoded_to_seen_ms": median(ages),
        "encoded_to_seen_ms_p95": round(ages[int(0.95 * len(ages))], 1),
        "encoded_to_expected_ms": median([one.expected - one.encoded for one in shown]),
        "drawn_to_seen_ms": median([one.seen - one.drawn for one in shown]),
        "jitter_buffer_ms": round(1000 * more["jitterBufferDelay"] / more["jitterBufferEmittedCount"], 1),
        "fps": round(1000 * more["framesDecoded"] / more["timestamp"], 2),
        "frames_dropped": more["framesDropped"],
        "freezes": more["freezeCount"],
        "packets_lost": more["packetsLost"],
        "pictures_read": len(shown),
        "pictures_not_matched": misread,
    }


def median(values: Sequence[float]) -> float:
    """Median, to a tenth."""
    return round(statistics.median(values), 1)


def summary(title: str, parts: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Give and print median and mean over the calls or minutes."""
    values = {name: [one[name] for one in parts] for name in _TABLE}
    medians = {name: median(of_each) for name, of_each in values.items()}
    means = {name: round(statistics.fmean(of_each), 1) for name, of_each in values.items()}
    print(f"{title}:")
    print_row("median", medians)
    print_row("mean", means)
    return {"median": medians, "mean": means}


def print_row(title: str, one: dict[str, Any]) -> None:
    """Print one call or minute."""
    cells = [f"{one[name]!s:>{len(heading)}}" for name, heading in _TABLE.items()]
    print(f"{title:9}", *cells, sep="  ", flush=True)


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--calls", type=int, default=12, help="short calls, each to a camera that slept (default: 12)")
    parser.add_argument("--minutes", type=int, default=0, help="of one long call after them (default: 0)")
    arguments = parser.parse_args()
    calls, minutes = asyncio.run(measure(arguments.calls, arguments.minutes))
    document = {"at": datetime.now(UTC).date().isoformat(), "machine": machine()}
    for title, parts in (("calls", calls), ("minutes", minutes)):
        if parts:
            document |= {f"of_{title}": summary(title, parts), title: parts}
    (_HERE / "latency.json").write_text(json.dumps(document, indent=2) + "\n")


if __name__ == "__main__":
    main()

"""What the page of latency.py sees: the digits of the pictures that it shows, and the browser's statistics."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from playwright.async_api import Page

from agent.capture.font import COLUMNS, FONT, ROWS
from agent.capture.picture import _CHARACTERS, Picture

_MINUTE_MS = 60_000

# Keeps the page's connections for their statistics.
_KEEP = """
    globalThis.connections = [];
    globalThis.RTCPeerConnection = class extends RTCPeerConnection {
        constructor(...given) {
            super(...given);
            connections.push(this);
        }
    };
"""
# Reads the digits' dots three to five times a second: seldom enough to leave the machine to what is measured.
_READ = """(video, [left, top, dot, columns, rows]) => {
    const context = new OffscreenCanvas(columns, rows).getContext("2d", { willReadFrequently: true });
    context.imageSmoothingEnabled = false; // each pixel is then the middle of a dot
    const own = (globalThis.seen = []);
    const read = (now, { presentationTime, expectedDisplayTime, receiveTime, rtpTimestamp }) => {
        if (own !== seen) return; // another call has begun
        const seenTime = performance.now();
        const toUnix = Date.now() - seenTime;
        context.drawImage(video, left, top, dot * columns, dot * rows, 0, 0, columns, rows);
        const { data } = context.getImageData(0, 0, columns, rows);
        const dots = Array.from({ length: columns * rows }, (_, i) => (data[4 * i] > 128 ? "1" : "0")).join("");
        own.push({ dots, seenTime, toUnix, presentationTime, expectedDisplayTime, receiveTime, rtpTimestamp });
        setTimeout(next, 200 + 100 * Math.random());
    };
    const next = () => video.requestVideoFrameCallback(read);
    next();
}"""
_TAKE = """async () => {
    const stats = [...(await connections.at(-1).getStats()).values()];
    return { seen: seen.splice(0), stats: stats.find(({ type, kind }) => type === "inbound-rtp" && kind === "video") };
}"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """One picture that was shown; Unix milliseconds."""

    drawn: float
    encoded: float
    received: float
    submitted: float
    seen: float
    expected: float


async def keep_connections(page: Page) -> None:
    """Let the page keep what `take` asks for statistics; to be called before the page is opened."""
    await page.add_init_script(_KEEP)


async def start_reading(page: Page, width: int, height: int) -> None:
    """Read the digits off the pictures of this size that the page shows, until the next call of this function."""
    picture = Picture(width, height)
    digits = [picture._left, picture._top, picture._dot, _CHARACTERS * COLUMNS, ROWS]
    await page.locator("#player video").evaluate(_READ, digits)


async def take(page: Page) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Take what was read since the last time, and the statistics of the video (W3C webrtc-stats, inbound-rtp)."""
    taken = await page.evaluate(_TAKE)
    return taken["seen"], taken["stats"]


def matched(seen: Sequence[dict[str, Any]], times: str) -> tuple[list[Shown], int]:
    """Match what the page saw with what the agent noted; also count what does not match.

    A canvas may get a newer picture than the one that the callback is about: its RTP timestamp tells.
    """
    noted = {
        int(1000 * float(drawn)) % _MINUTE_MS: (int(pts), float(drawn), float(encoded))
        for pts, drawn, encoded in (line.split() for line in times.splitlines()[-3000:] if line.count(" ") == 2)
    }
    assert seen, "the page showed no picture"
    # Date.now() is cut off to milliseconds: the largest difference is the least cut.
    to_unix = max(one["toUnix"] for one in seen)
    found = [(one, noted[drawn]) for one in seen if (drawn := read(one["dots"])) in noted]
    apart = [round(one["rtpTimestamp"] - pts * 0.09) % 2**32 for one, (pts, _, _) in found]
    usual = statistics.mode(apart) if apart else 0
    shown = [
        Shown(
            drawn=1000 * drawn,
            encoded=1000 * encoded,
            received=one["receiveTime"] + to_unix,
            submitted=one["presentationTime"] + to_unix,
            seen=one["seenTime"] + to_unix,
            expected=one["expectedDisplayTime"] + to_unix,
        )
        for (one, (_, drawn, encoded)), difference in zip(found, apart, strict=True)
        if abs(difference - usual) < 90
    ]
    return shown, len(seen) - len(shown)


def read(dots: str) -> int | None:
    """Read seconds and milliseconds off the dots of "12:34:56.789", as milliseconds."""
    width = _CHARACTERS * COLUMNS
    glyphs = {"".join(f"{row:05b}" for row in rows): character for character, rows in FONT.items()}
    text = "".join(
        glyphs.get("".join(dots[row * width + at :][:5] for row in range(ROWS)), "?") for at in range(0, width, COLUMNS)
    )
    seconds = text[6:].replace(".", "")
    return int(seconds) if seconds.isdecimal() else None

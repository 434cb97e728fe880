"""Debian's Chromium, without a screen and without a word to anybody but us."""

from __future__ import annotations

from playwright.async_api import Browser, Playwright, expect

# For whatever a page is to show: as long as a busy machine may take for it.
expect.set_options(timeout=30_000)

FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--autoplay-policy=no-user-gesture-required",
]


async def launch(playwright: Playwright, *more: str) -> Browser:
    """Start a browser of its own."""
    return await playwright.chromium.launch(executable_path="/usr/bin/chromium", args=[*FLAGS, *more])

"""Streams of a small test pattern, made on a thread of its own as a camera's are."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections.abc import AsyncIterator

from agent.capture.pattern import Pattern
from agent.config import CameraConfig
from agent.media.access_unit import AccessUnit, StreamName
from agent.media.stream import Stream


@contextlib.asynccontextmanager
async def pattern_stream() -> AsyncIterator[Stream]:
    """Publish 320x180 at 30 fps until the end."""
    async with pattern_streams() as streams:
        yield streams["main"]


@contextlib.asynccontextmanager
async def pattern_streams(*, sub: bool = False) -> AsyncIterator[dict[StreamName, Stream]]:
    """Publish 320x180 at 30 fps, and the same as 160x90 where a sub stream is wanted, until the end."""
    source = Pattern(CameraConfig(width=320, height=180))
    source.want_sub(sub)
    streams: dict[StreamName, Stream] = {
        "main": Stream("main", ask=lambda: source.request_keyframe("main")),
        "sub": Stream("sub", ask=lambda: source.request_keyframe("sub")),
    }
    loop = asyncio.get_running_loop()

    def publish(unit: AccessUnit) -> None:
        streams[unit.stream].publish(unit, time.monotonic())

    thread = threading.Thread(target=source.run, args=(lambda unit: loop.call_soon_threadsafe(publish, unit),))
    thread.start()
    try:
        yield streams
    finally:
        source.stop()
        await asyncio.to_thread(thread.join)

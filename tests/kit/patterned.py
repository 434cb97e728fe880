"""A stream of a small test pattern, made on a thread of its own as a camera's is."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections.abc import AsyncIterator

from agent.capture.pattern import Pattern
from agent.config import CameraConfig
from agent.media.stream import Stream


@contextlib.asynccontextmanager
async def pattern_stream() -> AsyncIterator[Stream]:
    """Publish 320x180 at 30 fps until the end."""
    source = Pattern(CameraConfig(width=320, height=180))
    stream = Stream(ask=source.request_keyframe)
    loop = asyncio.get_running_loop()
    thread = threading.Thread(
        target=source.run, args=(lambda unit: loop.call_soon_threadsafe(stream.publish, unit, time.monotonic()),)
    )
    thread.start()
    try:
        yield stream
    finally:
        source.stop()
        await asyncio.to_thread(thread.join)

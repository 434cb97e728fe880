"""A stream of a small test pattern, made on a thread of its own as a camera's is."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import threading
import time
from collections.abc import AsyncIterator

from agent.capture.pattern import Pattern
from agent.config import CameraConfig
from agent.media.access_unit import AccessUnit, StreamName
from agent.media.stream import Stream


@contextlib.asynccontextmanager
async def pattern_stream(source: Pattern | None = None, *, name: StreamName = "main") -> AsyncIterator[Stream]:
    """Publish 320x180 at 30 fps, or what `source` gives, until the end."""
    source = source or Pattern(CameraConfig(width=320, height=180))
    stream = Stream(name, ask=source.request_keyframe)
    loop = asyncio.get_running_loop()

    def emit(unit: AccessUnit) -> None:
        unit = dataclasses.replace(unit, stream=name)
        loop.call_soon_threadsafe(lambda: stream.publish(unit, time.monotonic()))

    thread = threading.Thread(target=source.run, args=(emit,))
    thread.start()
    try:
        yield stream
    finally:
        source.stop()
        await asyncio.to_thread(thread.join)

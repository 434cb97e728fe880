"""One viewer's picture as aiortc wants it: a track that gives encoded packets, taken from the viewer's feed."""

from __future__ import annotations

import asyncio
from fractions import Fraction
from typing import Final

import av
import av.stream
from aiortc import MediaStreamTrack
from aiortc.mediastreams import MediaStreamError

from agent.media.feed import Feed
from agent.media.stream import Stream

_MICROSECONDS: Final = Fraction(1, 1_000_000)


class FeedTrack(MediaStreamTrack):
    """Joins the stream when the connection is ready for its first packet, and leaves it when stopped."""

    kind = "video"

    def __init__(self, stream: Stream) -> None:
        super().__init__()
        self._stream = stream
        self._ready = asyncio.Event()
        self._feed: Feed | None = None

    async def recv(self) -> av.Packet[av.stream.Stream]:
        """Wait for the next access unit. Errors: MediaStreamError once stopped."""
        if self.readyState != "live":
            raise MediaStreamError
        if self._feed is None:
            self._feed = self._stream.subscribe(self._ready.set)
        feed = self._feed
        while (unit := feed.pop()) is None:
            if feed.closed:
                raise MediaStreamError
            self._ready.clear()
            await self._ready.wait()
        packet: av.Packet[av.stream.Stream] = av.Packet(unit.data)
        packet.pts = packet.dts = unit.pts_us
        packet.time_base = _MICROSECONDS
        return packet

    def stop(self) -> None:
        """Leave the stream; harmless twice."""
        super().stop()
        if self._feed is not None:
            self._stream.unsubscribe(self._feed)

"""A viewer made of stock aiortc: offers to receive video, and counts the pictures that it could decode."""

from __future__ import annotations

import asyncio
import contextlib

from aiortc import RTCConfiguration, RTCPeerConnection, RTCRtpReceiver, RTCSessionDescription
from aiortc.mediastreams import MediaStreamError, MediaStreamTrack


class Watcher:
    """One peer connection on the viewer's side."""

    def __init__(self) -> None:
        self.pictures = 0
        self.size: tuple[int, int] | None = None
        self._picture = asyncio.Condition()
        self._tasks: set[asyncio.Task[None]] = set()
        self.peer = RTCPeerConnection(RTCConfiguration(iceServers=[]))
        self.peer.add_listener("track", self._watch)

    async def offer(self, codec: str = "video/H264") -> str:
        """The SDP of an offer to receive one video."""
        transceiver = self.peer.addTransceiver("video", direction="recvonly")
        codecs = RTCRtpReceiver.getCapabilities("video").codecs
        transceiver.setCodecPreferences([entry for entry in codecs if entry.mimeType in {codec, "video/rtx"}])
        await self.peer.setLocalDescription(await self.peer.createOffer())
        return self.peer.localDescription.sdp

    async def accept(self, answer: str) -> None:
        """Take the camera's answer; pictures follow."""
        await self.peer.setRemoteDescription(RTCSessionDescription(sdp=answer, type="answer"))

    async def see(self, pictures: int, within_s: float = 15.0) -> None:
        """Wait until so many more pictures were decoded. Errors: TimeoutError."""
        wanted = self.pictures + pictures
        async with asyncio.timeout(within_s), self._picture:
            await self._picture.wait_for(lambda: self.pictures >= wanted)

    async def close(self) -> None:
        """Hang up."""
        await self.peer.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _watch(self, track: MediaStreamTrack) -> None:
        self._tasks.add(asyncio.create_task(self._count(track)))

    async def _count(self, track: MediaStreamTrack) -> None:
        with contextlib.suppress(MediaStreamError):
            while True:
                frame = await track.recv()
                async with self._picture:
                    self.pictures += 1
                    self.size = (frame.width, frame.height)
                    self._picture.notify_all()

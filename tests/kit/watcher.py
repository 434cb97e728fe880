"""A viewer made of stock aiortc: offers to receive video, and keeps what arrived and what it could decode."""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import Callable

from aiortc import RTCConfiguration, RTCDataChannel, RTCPeerConnection, RTCRtpReceiver, RTCSessionDescription
from aiortc.mediastreams import MediaStreamError, MediaStreamTrack
from aiortc.rtp import AnyRtcpPacket, RtcpSrPacket, RtpPacket


class Watcher:
    """One peer connection on the viewer's side.

    `arrived` are the RTP packets as they came, decrypted; those that `loses` says are gone before aiortc sees them.
    """

    def __init__(
        self, *, rtx: bool = True, channel: str = "", loses: Callable[[RtpPacket], bool] = lambda packet: False
    ) -> None:
        self.pictures = 0
        self.size: tuple[int, int] | None = None
        self.shown: list[int] = []  # the RTP timestamps of the decoded pictures, the first being 0
        self.arrived: list[RtpPacket] = []
        self.reports: list[RtcpSrPacket] = []
        self.ssrc = 0
        self._rtx = rtx
        self._label = channel  # of a data channel that it offers too
        self.channel: RTCDataChannel | None = None
        self.said: asyncio.Queue[str] = asyncio.Queue()  # what came over it
        self._loses = loses
        self._picture = asyncio.Condition()
        self._tasks: set[asyncio.Task[None]] = set()
        self.peer = RTCPeerConnection(RTCConfiguration(iceServers=[]))
        self.peer.add_listener("track", self._watch)

    @property
    def media(self) -> list[RtpPacket]:
        """What arrived, without what was sent again."""
        return [packet for packet in self.arrived if packet.ssrc == self.ssrc]

    @property
    def resent(self) -> list[RtpPacket]:
        """What arrived because it was sent again (RFC 4588)."""
        return [packet for packet in self.arrived if packet.ssrc != self.ssrc]

    async def offer(self, codec: str = "video/H264") -> str:
        """The SDP of an offer to receive one video."""
        transceiver = self.peer.addTransceiver("video", direction="recvonly")
        codecs = RTCRtpReceiver.getCapabilities("video").codecs
        wanted = {codec, "video/rtx"} if self._rtx else {codec}
        transceiver.setCodecPreferences([entry for entry in codecs if entry.mimeType in wanted])
        self._listen(transceiver.receiver)
        if self._label:
            self.channel = self.peer.createDataChannel(self._label)
            self.channel.add_listener("message", self.said.put_nowait)
        await self.peer.setLocalDescription(await self.peer.createOffer())
        return self.peer.localDescription.sdp

    async def accept(self, answer: str) -> None:
        """Take the camera's answer; pictures follow."""
        found = re.search(r"^a=ssrc:(\d+) ", answer, re.MULTILINE)
        self.ssrc = int(found[1]) if found else 0
        await self.peer.setRemoteDescription(RTCSessionDescription(sdp=answer, type="answer"))

    async def see(self, pictures: int, within_s: float = 15.0) -> None:
        """Wait until so many more pictures were decoded. Errors: TimeoutError."""
        wanted = self.pictures + pictures
        await self.until(lambda: self.pictures >= wanted, within_s)

    async def until(self, reached: Callable[[], bool], within_s: float = 15.0) -> None:
        """Wait until something is true that each picture may change. Errors: TimeoutError."""
        async with asyncio.timeout(within_s), self._picture:
            await self._picture.wait_for(reached)

    async def report(self, packet: AnyRtcpPacket) -> None:
        """Send an RTCP packet to the camera."""
        (receiver,) = self.peer.getReceivers()
        await receiver._send_rtcp(packet)

    async def close(self) -> None:
        """Hang up."""
        await self.peer.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _listen(self, receiver: RTCRtpReceiver) -> None:
        transport = receiver.transport
        take_packet, take_report = transport._handle_rtp_data, receiver._handle_rtcp_packet

        async def packet_came(data: bytes, arrival_time_ms: int) -> None:
            packet = RtpPacket.parse(data, transport._rtp_header_extensions_map)
            self.arrived.append(packet)
            if not self._loses(packet):
                await take_packet(data, arrival_time_ms=arrival_time_ms)

        async def report_came(packet: AnyRtcpPacket) -> None:
            if isinstance(packet, RtcpSrPacket):
                self.reports.append(packet)
            await take_report(packet)

        transport._handle_rtp_data = packet_came
        receiver._handle_rtcp_packet = report_came

    def _watch(self, track: MediaStreamTrack) -> None:
        self._tasks.add(asyncio.create_task(self._count(track)))

    async def _count(self, track: MediaStreamTrack) -> None:
        with contextlib.suppress(MediaStreamError):
            while True:
                frame = await track.recv()
                async with self._picture:
                    self.pictures += 1
                    self.size = (frame.width, frame.height)
                    self.shown.append(frame.pts)
                    self._picture.notify_all()

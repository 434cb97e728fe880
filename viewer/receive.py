"""A peer connection of a viewer: offers to receive one H.264 video, and gives its packets as they arrive."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from typing import Final

from aiortc import (
    RTCConfiguration,
    RTCIceServer,
    RTCPeerConnection,
    RTCRtpReceiver,
    RTCSessionDescription,
)
from aiortc.sdp import candidate_from_sdp

from protocol.messages import Candidate
from viewer import seams
from viewer.call import IceServer
from viewer.errors import NoPicture, NotVerified, ViewError
from viewer.reassembly import Packet

MOST_CANDIDATES: Final = 30
_CLOSE_S: Final = 5.0  # a connection that does not close by then is left to the end of the process


class Receiver:
    """`on_packet` gets each packet, and gives True to ask for a keyframe; `on_report` hears of each RTCP packet.

    `on_end` hears once why no more will come, unless `close` was called.
    """

    def __init__(
        self,
        servers: Sequence[IceServer],
        *,
        on_packet: Callable[[Packet], bool],
        on_report: Callable[[], None],
        on_end: Callable[[ViewError], None],
    ) -> None:
        ice_servers = [
            RTCIceServer(urls=list(server.urls), username=server.username, credential=server.credential)
            for server in servers
        ]
        # An empty list, never None: aiortc would ask a public STUN server.
        self._peer = RTCPeerConnection(RTCConfiguration(iceServers=ice_servers))
        self._peer.add_listener("connectionstatechange", self._on_state)
        self._on_packet = on_packet
        self._on_report = on_report
        self._on_end = on_end
        self._connected = False
        self._candidates = 0

    async def offer(self) -> str:
        """Gather candidates and give the SDP."""
        transceiver = self._peer.addTransceiver("video", direction="recvonly")
        seams.take_packets(transceiver.receiver, self._on_packet)
        seams.hear_reports(transceiver.receiver, self._on_report)
        capabilities = RTCRtpReceiver.getCapabilities("video")
        assert capabilities is not None  # noqa: S101  # aiortc knows video
        transceiver.setCodecPreferences([codec for codec in capabilities.codecs if codec.mimeType == "video/H264"])
        await self._peer.setLocalDescription(await self._peer.createOffer())
        return self._peer.localDescription.sdp

    async def accept(self, answer: str) -> None:
        """Take a verified answer; pictures follow. Errors: NoPicture."""
        try:
            await self._peer.setRemoteDescription(RTCSessionDescription(sdp=answer, type="answer"))
        except Exception as error:  # aiortc's parser raises seven kinds of exception for SDP that it does not like
            raise NoPicture("bad-answer") from error

    async def add_candidate(self, message: Candidate) -> None:
        """Take a verified candidate; one that cannot be used does not end a call that others may carry."""
        self._candidates += 1
        if not message.candidate or self._candidates > MOST_CANDIDATES:
            return
        with contextlib.suppress(ValueError, IndexError, AssertionError):
            candidate = candidate_from_sdp(message.candidate.removeprefix("candidate:"))
            candidate.sdpMid, candidate.sdpMLineIndex = message.mid, message.mline
            await self._peer.addIceCandidate(candidate)

    async def close(self) -> None:
        """Hang up."""
        self._peer.remove_all_listeners()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_CLOSE_S):
                await self._peer.close()

    def _on_state(self) -> None:
        state = self._peer.connectionState
        if state == "connected":
            self._connected = True
        elif state == "failed" and not self._connected and self._peer.iceConnectionState == "completed":
            self._on_end(NotVerified("wrong-fingerprint"))  # there is a path, and DTLS did not come about over it
        elif state in {"failed", "closed"}:
            self._on_end(NoPicture("no-path" if state == "failed" else "left"))

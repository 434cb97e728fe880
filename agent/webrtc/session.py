"""One viewer: from a verified call to the last packet."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from aiortc import RTCRtpSender, RTCRtpTransceiver, RTCSessionDescription
from aiortc.sdp import candidate_from_sdp
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from agent.config import NetworkConfig
from agent.media import rtcp
from agent.media.bandwidth import Bandwidth
from agent.media.stream import Stream
from agent.tasks import end
from agent.webrtc import seams
from agent.webrtc.egress import Egress
from agent.webrtc.ice import Gathering
from agent.webrtc.reports import Reports
from agent.webrtc.sdp import MAX_CANDIDATES, check_offer
from protocol.errors import Refused

_LOG: Final = logging.getLogger(__name__)
MIN_BPS: Final = 50_000  # no viewer's rate is estimated lower: even the smallest stream needs as much
_CLOSE_S: Final = 5.0  # a connection that does not close by then is left to the garbage collector


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What a session is opened with."""

    sid: str
    viewer: str  # the viewer's key, as its thumbprint: who may follow up
    offer: str
    setup_s: float
    life_s: float
    key: ec.EllipticCurvePrivateKey
    certificate: x509.Certificate
    full_bps: int  # what the main stream takes: where a viewer's rate begins, and what it is never above
    playout_delay_ms: int
    network: NetworkConfig = field(default_factory=NetworkConfig)


class Session:
    """Answers one offer, streams until it ends, and gives back the reason why it did."""

    def __init__(
        self, terms: Terms, stream: Stream, *, now: Callable[[], float], on_connected: Callable[[], None]
    ) -> None:
        self.terms = terms
        self.connected = False
        self.bandwidth = Bandwidth(start_bps=terms.full_bps, min_bps=MIN_BPS, max_bps=terms.full_bps)
        self.egress = Egress(stream, self.bandwidth, playout_delay_ms=terms.playout_delay_ms, full_bps=terms.full_bps)
        self._now = now
        self._on_connected = on_connected
        self._peer = seams.peer_connection(terms.key, terms.certificate)
        self._subscribed = False
        self._candidates: asyncio.Queue[str] = asyncio.Queue(MAX_CANDIDATES)  # more than that are not probed
        self._end: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._settled = asyncio.Event()  # connected, or ended before that

    async def run(self, answered: Callable[[str], None], found: Callable[[str, str], None]) -> str:
        """Serve this viewer. Returns the reason of the end, one of BYE_REASONS.

        `answered` gets the SDP, then `found` each candidate that is not in it, with its mid; an empty one ends them.
        """
        tasks: list[asyncio.Task[None]] = []
        try:
            async with asyncio.timeout(self.terms.setup_s):
                answered(await self._negotiate())
                tasks.append(asyncio.create_task(self._probe(), name=f"candidates-{self.terms.sid}"))
                tasks.append(asyncio.create_task(self._gather(found), name=f"gathering-{self.terms.sid}"))
                await self._settled.wait()
            if not self._end.done():
                self.connected = True
                self._on_connected()
            async with asyncio.timeout(self.terms.life_s):
                return await self._end
        except Refused as refusal:
            _LOG.info("session %s: %s", self.terms.sid, refusal)
            return refusal.reason
        except TimeoutError:
            return "expired" if self.connected else "setup-timeout"
        finally:
            await end(*tasks)
            self.egress.close()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_CLOSE_S):
                    await self._peer.close()

    def end(self, reason: str) -> None:
        """Let `run` come to its end for this reason; the first reason counts."""
        if not self._end.done():
            self._end.set_result(reason)
            self._settled.set()

    def add_candidate(self, candidate: str) -> None:
        """Take a viewer's candidate (RFC 8839 candidate-attribute); what may not be probed is passed over."""
        if candidate and not self._candidates.full():
            self._candidates.put_nowait(candidate)

    async def _negotiate(self) -> str:
        offer = check_offer(self.terms.offer)
        for candidate in offer.candidates:
            self.add_candidate(candidate)
        self._mid = offer.mid
        peer = self._peer
        peer.add_listener("connectionstatechange", self._on_state)
        try:
            # Before the remote description: else H.264 goes out under the payload type of VP8.
            transceiver = peer.addTransceiver("video", direction="sendonly")
            self._send_through(transceiver)
            await peer.setRemoteDescription(RTCSessionDescription(sdp=offer.sdp, type="offer"))
            if offer.may_answer_passively:
                seams.answer_passively(transceiver.sender.transport)
            await peer.setLocalDescription(await peer.createAnswer())
        except Exception as error:  # aiortc's parser raises seven kinds of exception for bad SDP
            raise Refused("failed", f"the offer cannot be answered ({type(error).__name__})") from error
        sdp = peer.localDescription.sdp
        if self._gathering.goes_on:
            sdp = sdp.replace("a=end-of-candidates\r\n", "a=ice-options:trickle\r\n")  # RFC 8840, section 4.1.3
        if "\r\n" + rtcp.CLOCK_ATTRIBUTE in offer.sdp:  # aiortc does not answer what it does not know
            sdp = sdp.replace("a=rtcp-mux\r\n", f"a=rtcp-mux\r\n{rtcp.CLOCK_ATTRIBUTE}\r\n")
        return sdp

    def _send_through(self, transceiver: RTCRtpTransceiver) -> None:
        codecs = RTCRtpSender.getCapabilities("video").codecs
        transceiver.setCodecPreferences([codec for codec in codecs if codec.mimeType in {"video/H264", "video/rtx"}])
        transport = transceiver.sender.transport
        sender = seams.place_sender(transceiver, lambda agreed: self.egress.connect(transport, sender, agreed))
        reports = Reports(self.egress, sender, self.bandwidth, now=self._now)
        seams.on_rtcp(transport, reports.take)
        self._gathering = Gathering(self.terms.network, transport)
        transport.transport.on("statechange", lambda: self._on_ice(transport.transport.state))

    def _on_ice(self, state: str) -> None:
        # As early as there is a path: the keyframe is made while DTLS shakes hands.
        if state == "completed" and not self._subscribed:
            self._subscribed = True
            self.egress.subscribe()

    async def _gather(self, found: Callable[[str, str], None]) -> None:
        """Tell the viewer of further candidates; without any at all the session ends."""
        begun = bool(self._gathering.found)

        def tell(candidate: str) -> None:
            nonlocal begun
            if not begun:
                begun = True
                group.create_task(seams.connect(self._peer), name=f"ice-{self.terms.sid}")
            found(candidate, self._mid)

        async with asyncio.TaskGroup() as group:
            try:
                await self._gathering.ask(tell)
            except Refused as refusal:
                _LOG.warning("session %s: %s", self.terms.sid, refusal)
                self.end(refusal.reason)

    async def _probe(self) -> None:
        """Hand candidates to ICE one by one: a name to resolve holds up its followers, never the answer."""
        while True:
            try:
                candidate = candidate_from_sdp((await self._candidates.get()).removeprefix("candidate:"))
            except (ValueError, IndexError, AssertionError):
                continue
            if candidate.protocol.lower() == "udp" and self._gathering.may_probe(candidate.ip, candidate.port):
                candidate.sdpMid = self._mid
                await self._peer.addIceCandidate(candidate)

    def _on_state(self) -> None:
        state = self._peer.connectionState
        if state == "connected":
            self._settled.set()
        elif state == "failed":
            self.end("failed")  # also a DTLS fingerprint that is not the offer's: aiortc itself would stay open
        elif state == "closed":
            self.end("left")

"""One way to a viewer: a peer connection, the guard before its sockets, and what leaves over it."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import secrets
from collections.abc import Callable, Mapping
from typing import Final

from aiortc import RTCDataChannel, RTCRtpSender, RTCRtpTransceiver, RTCSessionDescription
from aiortc.sdp import candidate_from_sdp
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from agent.config import NetworkConfig
from agent.media.bandwidth import Bandwidth
from agent.media.stream import Stream
from agent.tasks import end
from agent.webrtc.control import LABEL, Command, Control
from agent.webrtc.egress import Egress
from agent.webrtc.guard import Drops, Guard
from agent.webrtc.ice import Gathering
from agent.webrtc.inbox import Inbox
from agent.webrtc.reports import Reports
from agent.webrtc.sdp import MAX_CANDIDATES, CheckedOffer, complete_answer
from agent.webrtc.seams import channel, dtls, gathering, sending, sockets
from protocol.errors import Refused

_LOG: Final = logging.getLogger(__name__)
MIN_BPS: Final = 50_000  # no viewer's rate is estimated lower: even the smallest stream needs as much
_UNREAD_BYTES: Final = 16 * 1024  # answers that a viewer has not taken; until it does, its commands are dropped
_GRACE_S: Final = 5.0  # for a check from an address that nobody named, once both sides have named all of theirs
_CLOSE_S: Final = 5.0  # a connection that does not close by then is left to the garbage collector


class Connection:
    """Answers one offer, and sends until it is closed. `over` has the reason, one of BYE_REASONS, once it is no use."""

    def __init__(
        self,
        sid: str,
        offer: CheckedOffer,
        stream: Stream,
        inbox: Inbox,
        *,
        key: ec.EllipticCurvePrivateKey,
        certificate: x509.Certificate,
        network: NetworkConfig,
        full_bps: int,
        level_idc: int,
        playout_delay_ms: int,
        ssrc: int,
        drops: Drops,
        scope: Callable[[], frozenset[str]],
        commands: Mapping[str, Command],
        now: Callable[[], float],
        on_change: Callable[[Connection], None],
    ) -> None:
        """`on_change` is called when it stands, and when it is over; `scope` is what the grant allows now.

        `drops` counts what does not pass at the sockets.
        """
        self.stands = False
        self.over = ""
        self.settled = asyncio.Event()  # it stands, or is over
        self.bandwidth = Bandwidth(start_bps=full_bps, min_bps=MIN_BPS, max_bps=full_bps)
        self.egress = Egress(stream, self.bandwidth, inbox, playout_delay_ms=playout_delay_ms, full_bps=full_bps)
        self.guard = Guard(drops, lambda host, port: self._gathering.may_probe(host, port))
        self._sid = sid
        self._offer = offer
        self._inbox = inbox
        self._network = network
        self._level_idc = level_idc
        self._ssrc = ssrc
        self._scope = scope
        self._commands = commands
        self._now = now
        self._on_change = on_change
        self._control: Control | None = None
        self._peer = dtls.peer_connection(key, certificate)
        self._subscribed = False
        # More than that are not probed; the empty one is their end.
        self._candidates: asyncio.Queue[str] = asyncio.Queue(MAX_CANDIDATES + 1)
        self._all_named = asyncio.Event()  # by the viewer
        self._all_found = asyncio.Event()  # by us
        self._tasks: list[asyncio.Task[None]] = []

    async def open(self, answered: Callable[[str], None], found: Callable[[str, str], None]) -> None:
        """Answer, and let candidates follow. Errors: Refused.

        `answered` gets the SDP, then `found` each candidate that is not in it, with its mid; an empty one ends them.
        """
        answered(await self._negotiate())
        self._tasks.append(asyncio.create_task(self._probe(), name=f"candidates-{self._sid}"))
        self._tasks.append(asyncio.create_task(self._gather(found), name=f"gathering-{self._sid}"))
        self._tasks.append(asyncio.create_task(self._give_up(), name=f"giving-up-{self._sid}"))

    async def close(self) -> None:
        """Let go of everything. Harmless twice."""
        await end(*self._tasks)
        self.egress.close()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_CLOSE_S):
                await self._peer.close()

    def account(self) -> None:
        """Write down what left."""
        if self.stands:
            _LOG.info("session %s: %s", self._sid, self.egress.account())

    def add_candidate(self, candidate: str) -> None:
        """Take a viewer's candidate (RFC 8839 candidate-attribute), or an empty one after the last.

        What may not be probed is passed over.
        """
        if not self._candidates.full():
            self._candidates.put_nowait(candidate)

    async def _negotiate(self) -> str:
        offer = self._offer
        for candidate in (*offer.candidates, *[""] * offer.ends_candidates):
            self.add_candidate(candidate)
        peer = self._peer
        peer.add_listener("connectionstatechange", self._on_state)
        try:
            # Before the remote description: else H.264 goes out under the payload type of VP8.
            transceiver = peer.addTransceiver("video", direction="sendonly")
            self._send_through(transceiver)
            await peer.setRemoteDescription(RTCSessionDescription(sdp=offer.sdp, type="offer"))
            if (sctp := peer.sctp) is not None:
                channel.bound_sctp(sctp, lambda: self._end("failed"))
                peer.add_listener("datachannel", self._on_channel)
            if offer.may_answer_passively:
                dtls.answer_passively(transceiver.sender.transport)
            await peer.setLocalDescription(await peer.createAnswer())
        except Exception as error:  # none is known: `check_offer` gives aiortc only what it takes
            raise Refused("failed", f"the offer cannot be answered ({type(error).__name__})") from error
        sdp = complete_answer(
            peer.localDescription.sdp, offer, tls_id=secrets.token_urlsafe(18), level_idc=self._level_idc
        )
        if self._gathering.goes_on:
            sdp = sdp.replace("a=end-of-candidates\r\n", "a=ice-options:trickle\r\n")  # RFC 8840, section 4.1.3
        return sdp

    def _send_through(self, transceiver: RTCRtpTransceiver) -> None:
        codecs = RTCRtpSender.getCapabilities("video").codecs
        transceiver.setCodecPreferences([codec for codec in codecs if codec.mimeType in {"video/H264", "video/rtx"}])
        transport = transceiver.sender.transport
        sender = sending.place_sender(
            transceiver, lambda agreed: self.egress.connect(transport, agreed, sender), ssrc=self._ssrc
        )
        reports = Reports(self.egress, sender, self.bandwidth, self._inbox, self.guard.drops, now=self._now)
        sockets.put_guard(transport, self.guard)
        dtls.send_by_records(transport)
        dtls.on_rtcp(transport, reports.take, reports.begin)
        self._gathering = Gathering(self._network, transport, self.guard.expect)
        transport.transport.on("statechange", lambda: self._on_ice(transport.transport.state))

    def _on_channel(self, channel: RTCDataChannel) -> None:
        if channel.label != LABEL or self._control is not None:
            channel.close()
            return
        control = self._control = Control(self._commands, scope=self._scope, now=self._now())

        def take(message: str | bytes) -> None:
            if channel.readyState == "open" and channel.bufferedAmount <= _UNREAD_BYTES:
                channel.send(control.answer(message, self._now()))

        channel.add_listener("message", take)

    def _on_ice(self, state: str) -> None:
        # As early as there is a path: the keyframe is made while DTLS shakes hands.
        if state == "completed" and not self._subscribed:
            self._subscribed = True
            self.egress.subscribe()

    async def _gather(self, found: Callable[[str, str], None]) -> None:
        """Tell the viewer of further candidates; without any at all this is over."""
        begun = bool(self._gathering.found)

        def tell(candidate: str) -> None:
            nonlocal begun
            if not begun:
                begun = True
                group.create_task(gathering.connect(self._peer), name=f"ice-{self._sid}")
            found(candidate, self._offer.mid)

        async with asyncio.TaskGroup() as group:
            try:
                await self._gathering.ask(tell)
            except Refused as refusal:
                _LOG.warning("session %s: %s", self._sid, refusal)
                self._end(refusal.reason)
            self._all_found.set()

    async def _give_up(self) -> None:
        """End a call that leads nowhere before its time: others may need the place.

        aioice is not told of the end of candidates: it fails at once where it has none to check, and a viewer behind
        a NAT, or with names that mean nothing to us, is known by its own check alone.
        """
        await self._all_named.wait()
        await self._all_found.wait()
        await asyncio.sleep(_GRACE_S)
        if not self.guard.has_heard_anybody:
            self._end("setup-timeout")

    async def _probe(self) -> None:
        """Hand candidates to ICE one by one: a name to resolve holds up its followers, never the answer."""
        while True:
            text = await self._candidates.get()
            if not text:
                self._all_named.set()
                continue
            try:
                candidate = candidate_from_sdp(text.removeprefix("candidate:"))
                known = candidate.component == 1 and candidate.protocol.lower() == "udp"  # aioice stumbles over 2
                if known and self._gathering.may_probe(candidate.ip, candidate.port):
                    candidate.sdpMid = self._offer.mid
                    await self._peer.addIceCandidate(candidate)
            except Exception as error:  # noqa: BLE001  # one that cannot be read or looked up is not the others' end
                _LOG.debug("session %s: a candidate was passed over (%s)", self._sid, type(error).__name__)

    def _on_state(self) -> None:
        state = self._peer.connectionState
        if state == "connected":
            self.stands = True
            self._settle()
        elif state == "failed":
            self._end("failed")  # also a DTLS fingerprint that is not the offer's: aiortc itself would stay open
        elif state == "closed":
            self._end("left")

    def _end(self, reason: str) -> None:
        if not self.over:
            self.over = reason
            self._settle()

    def _settle(self) -> None:
        self.settled.set()
        self._on_change(self)

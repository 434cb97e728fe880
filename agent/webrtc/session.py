"""One viewer: from a verified call to the last packet, over one connection or, where somebody moves, several."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from agent.config import NetworkConfig
from agent.media.bandwidth import Bandwidth
from agent.media.level import LEAST
from agent.media.stream import Stream
from agent.tasks import end
from agent.webrtc.connection import Connection
from agent.webrtc.control import SCOPE, Command
from agent.webrtc.egress import Egress
from agent.webrtc.guard import Drops, Guard
from agent.webrtc.inbox import Inbox
from agent.webrtc.sdp import CheckedOffer, check_offer
from protocol.errors import Refused

_LOG: Final = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What a session is opened with."""

    sid: str
    viewer: str  # the viewer's key, as its thumbprint: who may follow up
    subject: str  # the person or app that its grant names: whose grants may be revoked
    scope: frozenset[str]  # what the grant allows
    offer: str
    setup_s: float
    life_s: float
    key: ec.EllipticCurvePrivateKey
    certificate: x509.Certificate
    full_bps: int  # what the main stream takes: where a viewer's rate begins, and what it is never above
    playout_delay_ms: int
    camera: str = ""  # which of the device's; empty for the only one, or the first
    level_idc: int = LEAST  # of the main stream (H.264, table A-1)
    network: NetworkConfig = field(default_factory=NetworkConfig)
    commands: Mapping[str, Command] = field(default_factory=dict)  # that a viewer may ask for over the data channel


@dataclass(frozen=True, slots=True, kw_only=True)
class Move:
    """What a running session goes over to: another offer of its viewer, answered with the certificate of now."""

    offer: str
    key: ec.EllipticCurvePrivateKey
    certificate: x509.Certificate


class Session:
    """Answers one offer, streams until it ends, and gives back the reason why it did.

    It lasts as long as it has a connection that stands, or one that is about to.
    """

    def __init__(
        self,
        terms: Terms,
        stream: Stream,
        inbox: Inbox,
        *,
        ssrc: int,
        now: Callable[[], float],
        on_connected: Callable[[], None],
    ) -> None:
        """Errors: Refused, before anything is made for an offer that cannot be answered."""
        self.terms = terms
        self.connected = False
        self.drops = Drops()  # at the sockets of all its connections
        self._stream = stream
        self._inbox = inbox
        self._ssrc = ssrc
        self._now = now
        self._on_connected = on_connected
        self._scope = terms.scope
        self._life_s = terms.life_s
        self._life: asyncio.Timeout | None = None
        self._connection = self._connect(self._check(terms.offer), terms.key, terms.certificate)
        self._next: Connection | None = None  # what the session is moving to
        self._moving: asyncio.Task[None] | None = None
        self._retired: set[asyncio.Task[None]] = set()  # connections that are being closed
        self._end: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._settled = asyncio.Event()  # connected, or ended before that

    @property
    def bandwidth(self) -> Bandwidth:
        """What the viewer's link is estimated to take."""
        return self._connection.bandwidth

    @property
    def egress(self) -> Egress:
        """What pictures leave through."""
        return self._connection.egress

    @property
    def guard(self) -> Guard:
        """What stands before the sockets."""
        return self._connection.guard

    async def run(self, answered: Callable[[str], None], found: Callable[[str, str], None]) -> str:
        """Serve this viewer. Returns the reason of the end, one of BYE_REASONS.

        `answered` gets the SDP, then `found` each candidate that is not in it, with its mid; an empty one ends them.
        """
        try:
            async with asyncio.timeout(self.terms.setup_s):
                await self._connection.open(answered, found)
                await self._settled.wait()
            if not self._end.done():
                self.connected = True
                self._on_connected()
            async with asyncio.timeout(self._life_s) as self._life:
                return await self._end
        except Refused as refusal:
            _LOG.info("session %s: %s", self.terms.sid, refusal)
            return refusal.reason
        except TimeoutError:
            return "expired" if self.connected else "setup-timeout"
        finally:
            self.end("left")  # whatever the reason: there is nothing to move any more
            if self._moving is not None:
                await end(self._moving)
            self._retire(self._connection)
            await asyncio.gather(*self._retired, return_exceptions=True)

    def move(self, to: Move, answered: Callable[[str], None], found: Callable[[str, str], None]) -> None:
        """Go over to another connection once that stands; until then, and if it never does, all is as it was.

        Of two, the later one counts. Errors: Refused, before anything is made for an offer that cannot be answered.
        """
        if not self.connected or self._end.done():
            raise Refused("failed", "there is no connection to move from")
        self._next = self._connect(self._check(to.offer), to.key, to.certificate)
        self._moving = asyncio.create_task(
            self._move(self._next, self._moving, answered, found), name=f"moving-{self.terms.sid}"
        )

    def end(self, reason: str) -> None:
        """Let `run` come to its end for this reason; the first reason counts."""
        if not self._end.done():
            self._end.set_result(reason)
            self._settled.set()

    def renew(self, life_s: float, scope: frozenset[str]) -> None:
        """Go on for so long from now, under what is allowed now."""
        self._life_s, self._scope = life_s, scope
        if self._life is not None and not self._life.expired() and not self._end.done():
            self._life.reschedule(asyncio.get_running_loop().time() + life_s)

    def account(self) -> None:
        """Write down what left over the last connection, and what was dropped at the sockets of all of them."""
        self._connection.account()
        if dropped := self.guard.account():
            _LOG.info("session %s: datagrams dropped: %s", self.terms.sid, dropped)

    def add_candidate(self, candidate: str) -> None:
        """Take a viewer's candidate, for the connection that it offered last."""
        (self._next or self._connection).add_candidate(candidate)

    def _check(self, offer: str) -> CheckedOffer:
        return check_offer(offer, control=SCOPE in self._scope)

    def _connect(
        self, offer: CheckedOffer, key: ec.EllipticCurvePrivateKey, certificate: x509.Certificate
    ) -> Connection:
        return Connection(
            self.terms.sid,
            offer,
            self._stream,
            self._inbox,
            key=key,
            certificate=certificate,
            network=self.terms.network,
            full_bps=self.terms.full_bps,
            level_idc=self.terms.level_idc,
            playout_delay_ms=self.terms.playout_delay_ms,
            ssrc=self._ssrc,
            drops=self.drops,
            scope=lambda: self._scope,
            commands=self.terms.commands,
            now=self._now,
            on_change=self._on_change,
        )

    async def _move(
        self,
        following: Connection,
        before: asyncio.Task[None] | None,
        answered: Callable[[str], None],
        found: Callable[[str, str], None],
    ) -> None:
        unused = following
        try:
            if before is not None:
                await end(before)
            async with asyncio.timeout(self.terms.setup_s):
                await following.open(answered, found)
                await following.settled.wait()
            if following.stands and not following.over:
                # One SSRC and one clock, but another key: what is sent here begins with a keyframe of its own.
                self._connection, unused = following, self._connection
                _LOG.info("session %s: moved to another connection", self.terms.sid)
                unused.account()
        except (Refused, TimeoutError) as error:
            _LOG.info("session %s did not move: %s", self.terms.sid, str(error) or "no connection in time")
        finally:
            if self._next is following:
                self._next = None
            self._retire(unused)
            self._on_change(self._connection)

    def _retire(self, connection: Connection) -> None:
        """Close it, whatever else happens meanwhile; `run` waits for that."""
        closing = asyncio.create_task(connection.close(), name=f"closing-{self.terms.sid}")
        self._retired.add(closing)
        closing.add_done_callback(self._retired.discard)

    def _on_change(self, connection: Connection) -> None:
        if connection is not self._connection:
            return
        if connection.stands:
            self._settled.set()
        if connection.over and self._next is None:
            self.end(connection.over)

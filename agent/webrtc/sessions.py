"""All sessions of the device: how many there may be, and what each one's end sets free."""

from __future__ import annotations

import asyncio
import logging
import random
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Final

from agent.config import SessionConfig
from agent.media.rate import ViewerRate
from agent.media.stream import Stream
from agent.webrtc.inbox import Inbox
from agent.webrtc.session import Move, Session, Terms
from protocol.errors import Refused

_LOG: Final = logging.getLogger(__name__)


class Sessions:
    """Opens sessions within the configured caps; each runs in a task of its own and takes itself off the list."""

    def __init__(
        self,
        config: SessionConfig,
        streams: Mapping[str, Stream],
        *,
        now: Callable[[], float],
        on_change: Callable[[], None],
    ) -> None:
        self._config = config
        self._streams = streams
        self._now = now
        self._on_change = on_change
        self._inbox = Inbox()
        # One for all viewers, each of whom has a key of its own: so that packets are the same but for their numbers.
        self._ssrc = random.getrandbits(32)  # it tells streams apart, and is no secret
        self._open: dict[str, tuple[Session, asyncio.Task[None]]] = {}
        self._closed = False
        self.ended: Counter[str] = Counter()  # by reason, since the start
        self._dropped: Counter[str] = Counter()  # at the sockets of those that ended

    def __len__(self) -> int:
        """How many there are, connected or about to be."""
        return len(self._open)

    @property
    def viewers(self) -> int:
        """How many are connected."""
        return sum(session.connected for session, _ in self._open.values())

    @property
    def dropped(self) -> Counter[str]:
        """How many datagrams did not pass at the sockets, by reason, since the start."""
        return sum((Counter(session.drops.counts()) for session, _ in self._open.values()), Counter(self._dropped))

    def open(
        self,
        terms: Terms,
        *,
        answered: Callable[[str], None],
        found: Callable[[str, str], None],
        ended: Callable[[str], None],
    ) -> None:
        """Start to serve a verified call. Errors: Refused.

        `answered` gets the SDP, `found` each candidate that follows it, with its mid, and `ended` the reason.

        When all places are taken, a viewer's own oldest session makes room for its new one.
        """
        if self._closed:
            raise Refused("shutdown", "the device is closing")
        if terms.sid in self._open:
            raise Refused("failed", "a session under this sid is open")
        if (stream := self._streams.get(terms.camera)) is None:
            raise Refused("no-camera", "this device has no camera of that name")
        if len(self._open) - self.viewers >= self._config.max_pending:
            raise Refused("busy", "too many calls are being set up")
        own = next((entry for entry, _ in self._open.values() if entry.terms.viewer == terms.viewer), None)
        is_full = len(self._open) >= self._config.max_viewers
        if is_full and own is None:
            raise Refused("busy", "all places are taken")
        session = Session(
            terms,
            stream,
            self._inbox,
            ssrc=self._ssrc,
            now=self._now,
            on_connected=lambda: self._connected(terms.sid),
        )
        if is_full and own is not None:
            own.end("replaced")
        task = asyncio.create_task(self._serve(session, answered, found, ended), name=f"session-{terms.sid}")
        self._open[terms.sid] = session, task
        self._on_change()

    def move(self, sid: str, to: Move, *, answered: Callable[[str], None], found: Callable[[str, str], None]) -> None:
        """Bring a session over to another connection: it keeps its place, its time and its name. Errors: Refused."""
        if entry := self._open.get(sid):
            entry[0].move(to, answered, found)

    def add_candidate(self, sid: str, candidate: str) -> None:
        """Hand a verified candidate to its session, if that is still there."""
        if entry := self._open.get(sid):
            entry[0].add_candidate(candidate)

    def of(self, camera: str) -> int:
        """Count those of one camera, connected or about to be."""
        return sum(session.terms.camera == camera for session, _ in self._open.values())

    def rates(self, camera: str) -> list[ViewerRate]:
        """Say what the link of each connected viewer of a camera is estimated to take, and which stream it is given."""
        rates = []
        for sid, (session, _) in self._open.items():
            if session.connected and session.terms.camera == camera:
                session.bandwidth.settle()
                heading_for = session.egress.heading_for
                rates.append(ViewerRate(key=sid, estimate_bps=session.bandwidth.estimate_bps, stream=heading_for))
        return rates

    def read(self) -> None:
        """Take in what viewers have sent; called when a picture has left."""
        self._inbox.read()

    def watch(self, sid: str, stream: Stream) -> None:
        """Give a viewer another stream, from its next keyframe on; harmless when it has that one."""
        if entry := self._open.get(sid):
            entry[0].egress.watch(stream)

    def end(self, sid: str, reason: str) -> None:
        """End one session, if it is still there."""
        if entry := self._open.get(sid):
            entry[0].end(reason)

    def renew(self, sid: str, life_s: float, scope: frozenset[str]) -> None:
        """Let a session go on for so long from now, under what a fresh grant allows."""
        if entry := self._open.get(sid):
            entry[0].renew(life_s, scope)

    def revoke(self, subject: str) -> None:
        """End the sessions of one person or app; with an empty name, all of them."""
        for session, _ in self._open.values():
            if subject in {"", session.terms.subject}:
                session.end("revoked")

    def end_each(self, reason: str) -> None:
        """Let every session come to its end."""
        for session, _ in self._open.values():
            session.end(reason)

    async def end_all(self, reason: str) -> None:
        """End every session, let no other begin, and wait until all of them have let go."""
        self._closed = True
        tasks = [task for _, task in self._open.values()]
        self.end_each(reason)
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _serve(
        self,
        session: Session,
        answered: Callable[[str], None],
        found: Callable[[str, str], None],
        ended: Callable[[str], None],
    ) -> None:
        sid = session.terms.sid
        reason = "failed"
        try:
            reason = await session.run(answered, found)
        except Exception:  # noqa: BLE001  # one viewer's fault is not the others'
            _LOG.exception("session %s ended by a fault of ours", sid)
        finally:
            was_connected = session.connected
            del self._open[sid]
            self.ended[reason] += 1
            self._dropped.update(session.drops.counts())
            _LOG.info("viewer %s: %s", "left" if was_connected else "not connected", reason)
            session.account()
            ended(reason)
            self._on_change()

    def _connected(self, sid: str) -> None:
        _LOG.info("viewer joined, %d watching", self.viewers)
        self._on_change()

"""What a message on the call topic leads to: a session, a candidate, an end, or silence."""

from __future__ import annotations

import itertools
import logging
import time
from collections import Counter
from collections.abc import Callable
from typing import Final, Protocol

from agent.signaling.gate import Call, Gate
from agent.signaling.limits import Strangers
from protocol import jws
from protocol.errors import Malformed, ProtocolError, Refused, Untrusted
from protocol.messages import Answer, Bye, Candidate, Offer, Renew

_LOG: Final = logging.getLogger(__name__)
_OFFER: Final = jws.typ_of("offer")
_FOLLOW_UPS: Final = frozenset(map(jws.typ_of, ("candidate", "bye", "renew")))
_REVOKE: Final = jws.typ_of("revoke")


class Sessions(Protocol):
    """Where verified follow-ups go."""

    def viewer_of(self, sid: str) -> str | None:
        """The key of a session's viewer, or None when there is no such session."""

    def add_candidate(self, sid: str, candidate: str) -> None:
        """Hand over a viewer's candidate."""

    def renew(self, sid: str, life_s: float, scope: frozenset[str]) -> None:
        """Let a session go on for so long from now, under what a fresh grant allows."""

    def end(self, sid: str, reason: str) -> None:
        """End a session."""

    def revoke(self, subject: str) -> None:
        """End the sessions of one person or app; with an empty name, all of them."""


class Calls:
    """Reads each message once.

    `open` serves a verified call (answered with an SDP, found candidates with their mid, ended with a reason) or raises
    Refused; `say` signs and sends an answer, a candidate or a bye to a caller.
    A message that does not verify gets no reply: it is counted, and logged without its content. What such messages
    cost is bounded: `cpu` gives the seconds that this thread has computed.
    """

    def __init__(
        self,
        *,
        device: str,
        gate: Gate,
        open: Callable[  # noqa: A002  # what it does
            [Call, Callable[[str], None], Callable[[str, str], None], Callable[[str], None]], None
        ],
        sessions: Sessions,
        say: Callable[[str, Answer | Candidate | Bye], None],
        cpu: Callable[[], float] = time.thread_time,
    ) -> None:
        self._device = device
        self._gate = gate
        self._open = open
        self._sessions = sessions
        self._say = say
        self._heard: dict[str, int] = {}  # the last seq of each open session's viewer
        self._cpu = cpu
        self._strangers = Strangers(time.monotonic())
        self.refused: Counter[str] = Counter()  # by reason, since the start

    def receive(self, payload: bytes) -> None:
        """Act on one message from the call topic. Never raises for what a stranger sent."""
        if not self._strangers.may_read(time.monotonic()):
            self._silence("unread", "strangers have cost too much")
            return
        began_s = self._cpu()
        is_somebodys = False
        try:
            is_somebodys = self._read(jws.peek(payload))
        except ProtocolError as error:
            self._silence(type(error).__name__.lower(), error)
        except Exception:  # noqa: BLE001  # whoever hands messages over ends the connection to the broker for it
            _LOG.exception("a message was not taken, by a fault of ours")
            self.refused["fault"] += 1
        if not is_somebodys:
            self._strangers.charge(self._cpu() - began_s)

    def _read(self, message: jws.Unverified) -> bool:
        """Say whether it was a viewer's. Errors: ProtocolError."""
        if message.typ == _OFFER:
            self._offer(message)
            return True
        if message.typ in _FOLLOW_UPS:
            return self._follow_up(message)
        if message.typ == _REVOKE:
            self._sessions.revoke(self._gate.revocation(message, time.time(), self._may_meet).sub)
            return True
        raise Malformed("no known kind of message")

    def _offer(self, message: jws.Unverified) -> None:
        try:
            call = self._gate.call(message, time.time(), self._may_meet)
        except Refused as refusal:
            self._refuse(Offer.parse(message.payload), refusal)
            return
        offer = call.offer
        sequence = itertools.count(1)

        def answered(sdp: str) -> None:
            answer = Answer(
                device=self._device, sid=offer.sid, offer_sha256=call.offer_sha256, sdp=sdp, session_s=call.life_s
            )
            self._say(offer.reply, answer)

        def found(candidate: str, mid: str) -> None:
            said = Candidate(sid=offer.sid, seq=next(sequence), candidate=candidate, mid=mid, mline=0)
            self._say(offer.reply, said)

        def ended(reason: str) -> None:
            self._heard.pop(offer.sid, None)
            self._say(offer.reply, Bye(sid=offer.sid, seq=next(sequence), reason=reason))

        try:
            self._open(call, answered, found, ended)
        except Refused as refusal:
            self._refuse(offer, refusal)
        else:
            self._heard[offer.sid] = -1

    def _follow_up(self, message: jws.Unverified) -> bool:
        sid = message.payload.get("sid")
        viewer = self._sessions.viewer_of(sid) if isinstance(sid, str) else None
        if viewer is None:
            self.refused["late"] += 1  # usual: a candidate that was late, or the bye that crossed ours
            return False
        said = self._gate.follow_up(message, viewer, time.time())
        if said.seq <= self._heard.get(said.sid, -1):
            raise Untrusted("a repeated or reordered message")
        self._heard[said.sid] = said.seq
        if isinstance(said, Candidate):
            self._sessions.add_candidate(said.sid, said.candidate)
        elif isinstance(said, Renew):
            grant, life_s = self._gate.renewal(said.grant, viewer, time.time(), self._may_meet)
            self._sessions.renew(said.sid, life_s, grant.scope)
        else:
            self._sessions.end(said.sid, "left")
        return True

    def _may_meet(self) -> bool:
        return self._strangers.may_meet(time.monotonic())

    def _refuse(self, offer: Offer, refusal: Refused) -> None:
        self.refused[refusal.reason] += 1
        _LOG.info("call refused (%s): %s", refusal.reason, refusal)
        self._say(offer.reply, Bye(sid=offer.sid, seq=1, reason=refusal.reason))

    def _silence(self, kind: str, why: object) -> None:
        self.refused[kind] += 1
        count = self.refused[kind]
        if set(str(count)) <= {"0", "1"} and str(count).count("1") == 1:  # the first, the tenth, the hundredth...
            _LOG.warning("call passed over, %s: %s (%d so far)", kind, why, count)

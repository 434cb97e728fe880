"""What a message on the call topic leads to: a session, a candidate, an end, or silence."""

from __future__ import annotations

import itertools
import logging
import time
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Final, Protocol

from agent.signaling.gate import Call, Gate
from agent.signaling.limits import Strangers
from protocol import jws
from protocol.errors import Malformed, ProtocolError, Refused
from protocol.messages import Answer, Bye, Candidate, Move, Offer, Renew

_LOG: Final = logging.getLogger(__name__)
_OFFER: Final = jws.typ_of("offer")
_FOLLOW_UPS: Final = frozenset(map(jws.typ_of, ("candidate", "bye", "renew", "move")))
_MOVE: Final = jws.typ_of("move")
_REVOKE: Final = jws.typ_of("revoke")
_REMEMBERED: Final = 256  # sessions that ended, the last ones: who moves in one of them is told

Found = Callable[[str, str], None]
Answered = Callable[[str], None]


@dataclass(slots=True)
class Talk:
    """What is said in one session."""

    caller: str  # whose reply topic the viewer listens to
    viewer: str  # the viewer's key, as its thumbprint
    life_s: int  # under the last grant
    sequence: Iterator[int] = field(default_factory=lambda: itertools.count(1))  # ours
    heard: int = -1  # the viewer's last
    ended: str = ""  # why, once it has


class Sessions(Protocol):
    """Where verified follow-ups go."""

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
    Refused; `move` brings a running session over to another connection, or raises Refused; `say` signs and sends an
    answer, a candidate or a bye to a caller.
    A message that does not verify gets no reply: it is counted, and logged without its content. What such messages
    cost is bounded: `cpu` gives the seconds that this thread has computed.
    """

    def __init__(
        self,
        *,
        device: str,
        gate: Gate,
        open: Callable[[Call, Answered, Found, Callable[[str], None]], None],  # noqa: A002  # what it does
        move: Callable[[str, str, Answered, Found], None],
        sessions: Sessions,
        say: Callable[[str, Answer | Candidate | Bye], None],
        cpu: Callable[[], float] = time.thread_time,
    ) -> None:
        self._device = device
        self._gate = gate
        self._open = open
        self._move = move
        self._sessions = sessions
        self._say = say
        self._talks: dict[str, Talk] = {}  # of each open session
        self._over: OrderedDict[str, Talk] = OrderedDict()
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
        if offer.sid in self._talks:
            self._refuse(offer, Refused("failed", "a session under this sid is open"))
            return
        talk = Talk(caller=offer.reply, viewer=call.grant.jkt, life_s=call.life_s)

        def ended(reason: str) -> None:
            talk.ended = reason
            self._talks.pop(offer.sid, None)
            self._over[offer.sid] = talk
            if len(self._over) > _REMEMBERED:
                self._over.popitem(last=False)
            self._end(offer.sid, talk)

        self._talks[offer.sid] = talk
        try:
            self._open(call, *self._answering(offer.sid, talk, call.offer_sha256), ended)
        except Refused as refusal:
            del self._talks[offer.sid]
            self._refuse(offer, refusal)

    def _answering(self, sid: str, talk: Talk, offer_sha256: str) -> tuple[Answered, Found]:
        def answered(sdp: str) -> None:
            answer = Answer(device=self._device, sid=sid, offer_sha256=offer_sha256, sdp=sdp, session_s=talk.life_s)
            self._say(talk.caller, answer)

        def found(candidate: str, mid: str) -> None:
            said = Candidate(sid=sid, seq=next(talk.sequence), candidate=candidate, mid=mid, mline=0)
            self._say(talk.caller, said)

        return answered, found

    def _end(self, sid: str, talk: Talk) -> None:
        self._say(talk.caller, Bye(sid=sid, seq=next(talk.sequence), reason=talk.ended))

    def _follow_up(self, message: jws.Unverified) -> bool:
        sid = message.payload.get("sid")
        talk = (self._talks.get(sid) or self._over.get(sid)) if isinstance(sid, str) else None
        if talk is None or (talk.ended and message.typ != _MOVE):
            self.refused["late"] += 1  # usual: a candidate that was late, or the bye that crossed ours
            return False
        seq = message.payload.get("seq")
        if isinstance(seq, int) and seq <= talk.heard:  # before the signature is looked at: viewers repeat themselves
            self.refused["repeated"] += 1
            return False
        said = self._gate.follow_up(message, talk.viewer, time.time())
        talk.heard = said.seq
        if isinstance(said, Candidate):
            self._sessions.add_candidate(said.sid, said.candidate)
        elif isinstance(said, Renew):
            grant, talk.life_s = self._gate.renewal(said.grant, talk.viewer, time.time(), self._may_meet)
            self._sessions.renew(said.sid, talk.life_s, grant.scope)
        elif isinstance(said, Move):
            self._go_over(said, talk, jws.sha256(message.compact))
        else:
            self._sessions.end(said.sid, "left")
        return True

    def _go_over(self, said: Move, talk: Talk, offer_sha256: str) -> None:
        if talk.ended:
            self.refused["late"] += 1
            self._end(said.sid, talk)  # its viewer was away when it ended
            return
        try:
            self._move(said.sid, said.sdp, *self._answering(said.sid, talk, offer_sha256))
        except Refused as refusal:  # no bye: the session goes on where it is
            self.refused[refusal.reason] += 1
            _LOG.info("session %s stays where it is: %s", said.sid, refusal)

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

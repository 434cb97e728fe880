"""What a message on the call topic leads to: a session, a candidate, an end, or silence."""

from __future__ import annotations

import itertools
import logging
import time
from collections import Counter
from collections.abc import Callable
from typing import Final, Protocol

from agent.signaling.gate import Call, Gate
from protocol import jws
from protocol.errors import ProtocolError, Refused
from protocol.messages import Answer, Bye, Candidate, Offer

_LOG: Final = logging.getLogger(__name__)
_OFFER: Final = jws.typ_of("offer")
_FOLLOW_UPS: Final = frozenset({jws.typ_of("candidate"), jws.typ_of("bye")})


class Sessions(Protocol):
    """Where verified follow-ups go."""

    def viewer_of(self, sid: str) -> str | None:
        """The key of a session's viewer, or None when there is no such session."""

    def add_candidate(self, sid: str, candidate: str) -> None:
        """Hand over a viewer's candidate."""

    def end(self, sid: str, reason: str) -> None:
        """End a session."""


class Calls:
    """Reads each message once.

    `open` serves a verified call (answered with an SDP, found candidates with their mid, ended with a reason) or raises
    Refused; `say` signs and sends an answer, a candidate or a bye to a caller.
    A message that does not verify gets no reply: it is counted, and logged without its content.
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
    ) -> None:
        self._device = device
        self._gate = gate
        self._open = open
        self._sessions = sessions
        self._say = say
        self._heard: dict[str, int] = {}  # the last seq of each open session's viewer
        self._silenced: Counter[str] = Counter()

    def receive(self, payload: bytes) -> None:
        """Act on one message from the call topic. Never raises for what a stranger sent."""
        try:
            message = jws.peek(payload)
            if message.typ == _OFFER:
                self._offer(message)
            elif message.typ in _FOLLOW_UPS:
                self._follow_up(message)
            else:
                self._silence("unknown", "no known kind of message")
        except ProtocolError as error:
            self._silence(type(error).__name__.lower(), error)

    def _offer(self, message: jws.Unverified) -> None:
        try:
            call = self._gate.call(message, time.time())
        except Refused as refusal:
            self._refuse(Offer.parse(message.payload), refusal)
            return
        offer = call.offer
        sequence = itertools.count(1)

        def answered(sdp: str) -> None:
            answer = Answer(device=self._device, sid=offer.sid, offer_sha256=call.offer_sha256, sdp=sdp)
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

    def _follow_up(self, message: jws.Unverified) -> None:
        sid = message.payload.get("sid")
        viewer = self._sessions.viewer_of(sid) if isinstance(sid, str) else None
        if viewer is None:
            return  # usual: a candidate that was late, or the bye that crossed ours
        said = self._gate.follow_up(message, viewer)
        if said.seq <= self._heard.get(said.sid, -1):
            self._silence("replayed", "a repeated or reordered message")
            return
        self._heard[said.sid] = said.seq
        if isinstance(said, Candidate):
            self._sessions.add_candidate(said.sid, said.candidate)
        else:
            self._sessions.end(said.sid, "left")

    def _refuse(self, offer: Offer, refusal: Refused) -> None:
        _LOG.info("call refused (%s): %s", refusal.reason, refusal)
        self._say(offer.reply, Bye(sid=offer.sid, seq=1, reason=refusal.reason))

    def _silence(self, kind: str, why: object) -> None:
        self._silenced[kind] += 1
        if self._silenced[kind] == 1 or self._silenced[kind] % 100 == 0:
            _LOG.warning("call passed over, %s: %s (%d so far)", kind, why, self._silenced[kind])

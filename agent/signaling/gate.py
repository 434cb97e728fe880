"""Who may call: every message is verified here, in order of cost, before anything is allocated for its sender.

Pure: time comes in as `now` (seconds since 1970), randomness as a function.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from cryptography import x509

from protocol import jws
from protocol.errors import Malformed, ProtocolError, Refused, Untrusted
from protocol.messages import Bye, Candidate, Grant, Offer
from protocol.names import Role

CHALLENGE_S: Final = 300.0
REMEMBERED: Final = 4096  # sids under one challenge; when they are used up, calls are refused until it changes
_TURNED_AWAY: Final = 256  # sids of refused calls, the last ones; each is answered once
_SKEW_S: Final = 30  # how far the authoriser's clock may be ahead of ours


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """An offer that may be served."""

    offer: Offer
    offer_sha256: str
    grant: Grant


@dataclass(slots=True)
class _Challenge:
    value: str
    since: float
    sids: set[str]


class Gate:
    """Accepts a call once, from the key that a grant names, for this device, under a fresh challenge."""

    def __init__(self, *, device: str, root: x509.Certificate, now: float, random: Callable[[int], bytes]) -> None:
        self._device = device
        self._root = root
        self._random = random
        self._challenges: deque[_Challenge] = deque(maxlen=2)  # the current one, and the one before it
        self._turned_away: deque[str] = deque(maxlen=_TURNED_AWAY)
        self.refused: Counter[str] = Counter()
        self.rotate(now)

    @property
    def challenge(self) -> str:
        """What the next offer must name, to stand in the status."""
        return self._challenges[-1].value

    def rotate(self, now: float) -> bool:
        """Take a new challenge when the current one is old enough; say whether it did."""
        if self._challenges and 0 <= now - self._challenges[-1].since < CHALLENGE_S:
            return False
        self._challenges.append(_Challenge(jws.base64url(self._random(16)), now, set()))
        return True

    def call(self, message: jws.Unverified, now: float) -> Call:
        """Verify an offer. Errors: ProtocolError; only a Refused one may be answered, its `sid` is the offer's."""
        try:
            return self._call(message, now)
        except ProtocolError as error:
            if isinstance(error, Refused):
                self._turned_away.append(message.payload["sid"])
            self.refused[error.reason if isinstance(error, Refused) else type(error).__name__.lower()] += 1
            raise

    def follow_up(self, message: jws.Unverified, jkt: str) -> Candidate | Bye:
        """Verify a candidate or a bye of the viewer whose key has the thumbprint `jkt`. Errors: ProtocolError."""
        kind: type[Candidate | Bye] = Bye if message.typ == jws.typ_of("bye") else Candidate
        try:
            if jws.verify_by_own_key(message, kind.__name__.lower()) != jkt:
                raise Untrusted("not the key that opened this session")
            return kind.parse(message.payload)
        except ProtocolError as error:
            self.refused[type(error).__name__.lower()] += 1
            raise

    def _call(self, message: jws.Unverified, now: float) -> Call:
        # Strings first: a stranger's message costs a parse, and no elliptic curve.
        offer = Offer.parse(message.payload)
        if offer.device != self._device:
            raise Malformed("an offer for another device")
        known = next((entry for entry in self._challenges if entry.value == offer.challenge), None)
        if offer.sid in self._turned_away or (known is not None and offer.sid in known.sids):
            raise Malformed("this call was made before")
        jkt = jws.verify_by_own_key(message, "offer")
        grant = self._granted(offer, jkt, now)
        if known is None:
            raise Refused("expired", "the challenge is not the current one")
        if len(known.sids) >= REMEMBERED:
            raise Refused("busy", "too many calls under this challenge")
        known.sids.add(offer.sid)
        if "live" not in grant.scope:
            raise Refused("forbidden", "the grant does not allow to watch")
        return Call(offer=offer, offer_sha256=jws.sha256(message.compact), grant=grant)

    def _granted(self, offer: Offer, jkt: str, now: float) -> Grant:
        token = jws.peek(offer.grant)
        at = datetime.fromtimestamp(now, UTC)
        jws.verify_by_chain(token, "grant", root=self._root, role=Role.AUTHORISER, now=at)
        grant = Grant.parse(token.payload)
        if grant.aud != self._device or grant.jkt != jkt:
            raise Untrusted("a grant for another device or another key")
        if now < grant.iat - _SKEW_S:
            raise Untrusted("a grant from the future")
        if now >= grant.exp:
            raise Refused("expired", "the grant has ended")
        return grant

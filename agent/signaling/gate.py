"""Who may call: every message is verified here, in order of cost, before anything is allocated for its sender.

Pure: time comes in as `now` (seconds since 1970), randomness as a function.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from cryptography import x509

from agent.rates import Bucket
from agent.signaling.grants import Grants
from agent.signaling.limits import (
    CALLS_IN_ALL,
    CALLS_OF_A_VIEWER,
    FOLLOW_UPS_OF_A_VIEWER,
    MOVES_OF_A_VIEWER,
    Viewers,
)
from protocol import jws
from protocol.errors import Malformed, Overloaded, Refused, Untrusted
from protocol.messages import Bye, Candidate, Grant, Move, Offer, Renew, Revoke

CHALLENGE_S: Final = 300.0
REMEMBERED: Final = 4096  # sids under one challenge; when they are used up, calls are refused until it changes
_FOLLOW_UPS: Final[dict[str, type[Candidate | Bye | Renew | Move]]] = {
    jws.typ_of("candidate"): Candidate,
    jws.typ_of("bye"): Bye,
    jws.typ_of("renew"): Renew,
    jws.typ_of("move"): Move,
}
_TURNED_AWAY: Final = 256  # sids of refused calls, the last ones; each is answered once


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """An offer that may be served."""

    offer: Offer
    offer_sha256: str
    grant: Grant
    life_s: int  # how long its session may last under this grant


@dataclass(slots=True)
class _Challenge:
    value: str
    since: float
    sids: set[str]


class Gate:
    """Accepts a call once, from the key that a grant names, for this device, under a fresh challenge."""

    def __init__(
        self,
        *,
        device: str,
        root: x509.Certificate,
        now: float,
        random: Callable[[int], bytes],
        longest_s: int = 3600,
    ) -> None:
        self._device = device
        self._longest_s = longest_s
        self._grants = Grants(device=device, root=root)
        self._random = random
        self._challenges: deque[_Challenge] = deque(maxlen=2)  # the current one, and the one before it
        self._turned_away: deque[str] = deque(maxlen=_TURNED_AWAY)
        self._calls = Bucket(CALLS_IN_ALL, now)
        self._calls_of = Viewers(CALLS_OF_A_VIEWER)
        self._follow_ups_of = Viewers(FOLLOW_UPS_OF_A_VIEWER)
        self._moves_of = Viewers(MOVES_OF_A_VIEWER)
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

    def call(self, message: jws.Unverified, now: float, may_meet: Callable[[], bool] = lambda: True) -> Call:
        """Verify an offer. Errors: ProtocolError; only a Refused one may be answered, its `sid` is the offer's.

        `may_meet` says whether there is time to verify an authoriser's chain that was never seen.
        """
        try:
            return self._call(message, now, may_meet)
        except Refused:
            self._turned_away.append(message.payload["sid"])
            raise

    def follow_up(self, message: jws.Unverified, jkt: str, now: float) -> Candidate | Bye | Renew | Move:
        """Verify what the viewer whose key has the thumbprint `jkt` says in its session. Errors: ProtocolError."""
        kind = _FOLLOW_UPS[message.typ]
        said = kind.parse(message.payload)
        if jws.claimed_thumbprint(message) != jkt:
            raise Untrusted("not the key that opened this session")
        of_one = self._moves_of if kind is Move else self._follow_ups_of
        if not of_one.may(jkt, now):
            raise Overloaded("too many messages of one viewer")
        self._signed(message, kind.__name__.lower(), jkt)
        of_one.spend(jkt, now)
        return said

    def renewal(
        self, grant: str, jkt: str, now: float, may_meet: Callable[[], bool] = lambda: True
    ) -> tuple[Grant, int]:
        """Verify a fresh grant for a running session; gives how long that may last from now. Errors: ProtocolError."""
        fresh = self._grants.believe(grant, jkt=jkt, now=now, may_meet=may_meet)
        self._grants.check(fresh, now)
        return fresh, min(fresh.session_s, self._longest_s)

    def revocation(self, message: jws.Unverified, now: float, may_meet: Callable[[], bool] = lambda: True) -> Revoke:
        """Verify that the fleet takes grants back, and refuse them from now on. Errors: ProtocolError."""
        return self._grants.revoke(message, now, may_meet)

    def _call(self, message: jws.Unverified, now: float, may_meet: Callable[[], bool]) -> Call:
        # Strings first: most of what a stranger can make up costs a parse and a few comparisons, and no curve.
        offer = Offer.parse(message.payload)
        if offer.device != self._device:
            raise Malformed("an offer for another device")
        known = next((entry for entry in self._challenges if entry.value == offer.challenge), None)
        if offer.sid in self._turned_away or (known is not None and offer.sid in known.sids):
            raise Malformed("this call was made before")
        jkt = jws.claimed_thumbprint(message)
        if not self._calls_of.may(jkt, now):
            raise Overloaded("too many calls of one viewer")
        # The grant before the offer's own signature: nobody but an authoriser makes one, while anybody has a key.
        grant = self._grants.believe(offer.grant, jkt=jkt, now=now, may_meet=may_meet)
        self._signed(message, "offer", jkt)
        self._calls_of.spend(jkt, now)
        self._grants.check(grant, now)
        if known is None:
            raise Refused("expired", "the challenge is not the current one")
        if len(known.sids) >= REMEMBERED or not self._calls.has(now):
            raise Refused("busy", "too many calls")
        self._calls.spend()
        known.sids.add(offer.sid)
        life_s = min(grant.session_s, self._longest_s)
        return Call(offer=offer, offer_sha256=jws.sha256(message.compact), grant=grant, life_s=life_s)

    @staticmethod
    def _signed(message: jws.Unverified, kind: str, jkt: str) -> None:
        if jws.verify_by_own_key(message, kind) != jkt:
            raise Untrusted("another key than it seemed to be")

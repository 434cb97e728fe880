"""Which grants are believed: the cheap questions first, and no chain and no grant verified twice (pure)."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, TypeVar

from cryptography import x509

from protocol import certificates, jws
from protocol.certificates import Identity
from protocol.errors import Malformed, Overloaded, Refused, Untrusted
from protocol.messages import Grant, Revoke
from protocol.names import Role

_Name = TypeVar("_Name")
_Value = TypeVar("_Value")
_CHAINS: Final = 8  # of authorisers; a fleet has one at a time, and a new one every few days
_GRANTS: Final = 256
_REVOCATIONS: Final = 256
_LATE_S: Final = 300  # a revocation that was under way for longer is a replay: no grant from before it lives any more
_SKEW_S: Final = 30  # how far the authoriser's clock may be ahead of ours


@dataclass(frozen=True, slots=True, kw_only=True)
class _Known:
    authoriser: Identity
    since: datetime
    until: datetime


class Grants:
    """Grants for one device under one root. What is remembered is bounded; the oldest is forgotten."""

    def __init__(self, *, device: str, root: x509.Certificate) -> None:
        self._device = device
        self._root = root
        self._chains: OrderedDict[bytes, _Known] = OrderedDict()
        self._good: OrderedDict[bytes, None] = OrderedDict()
        self._revoked: OrderedDict[str, int] = OrderedDict()  # until when, by `sub`

    def believe(self, compact: str, *, jkt: str, now: float, may_meet: Callable[[], bool]) -> Grant:
        """Verify a grant for the key with the thumbprint `jkt`; whether it still stands is `check`'s question.

        `may_meet` says whether there is time for an authoriser's chain that was never seen.
        Errors: Malformed, Untrusted, BadSignature, Overloaded.
        """
        token = jws.peek(compact)
        grant = Grant.parse(token.payload)
        # Comparing costs nothing: a stolen grant, or one for another camera, is never worth a curve.
        if grant.aud != self._device or grant.jkt != jkt:
            raise Untrusted("a grant for another device or another key")
        if now < grant.iat - _SKEW_S:
            raise Untrusted("a grant from the future")
        name = hashlib.sha256(compact.encode("ascii")).digest()
        if name not in self._good:
            jws.verify_by(token, self._authoriser(token, "grant", now, may_meet))
            _keep(self._good, name, None, _GRANTS)
        return grant

    def check(self, grant: Grant, now: float) -> None:
        """Check that a believed grant still allows to watch. Errors: Refused."""
        if now >= grant.exp:
            raise Refused("expired", "the grant has ended")
        if any(grant.iat <= self._revoked.get(sub, -1) for sub in ("", grant.sub)):
            raise Refused("revoked", "the grant was revoked")
        if "live" not in grant.scope:
            raise Refused("forbidden", "the grant does not allow to watch")

    def revoke(self, message: jws.Unverified, now: float, may_meet: Callable[[], bool]) -> Revoke:
        """Verify a revocation, once, and refuse from now on what was granted before it. Errors: ProtocolError."""
        revoke = Revoke.parse(message.payload)
        if revoke.device != self._device:
            raise Malformed("a revocation for another device")
        if not now - _LATE_S <= revoke.iat <= now + _SKEW_S or revoke.iat <= self._revoked.get(revoke.sub, -1):
            raise Malformed("a revocation from another time, or one that came before")
        jws.verify_by(message, self._authoriser(message, "revoke", now, may_meet))
        _keep(self._revoked, revoke.sub, revoke.iat, _REVOCATIONS)
        return revoke

    def _authoriser(self, message: jws.Unverified, kind: str, now_s: float, may_meet: Callable[[], bool]) -> Identity:
        chain, now = jws.chain_of(message, kind), datetime.fromtimestamp(now_s, UTC)
        name = hashlib.sha256(b"".join(hashlib.sha256(entry).digest() for entry in chain)).digest()
        known = self._chains.get(name)
        if known is not None and known.since <= now <= known.until:
            return known.authoriser
        if not may_meet():
            raise Overloaded("no time for an authoriser that was never seen")
        authoriser = certificates.verify_chain(chain, root=self._root, role=Role.AUTHORISER, now=now)
        links = [x509.load_der_x509_certificate(entry) for entry in chain]
        since = max(link.not_valid_before_utc for link in links)
        until = min(link.not_valid_after_utc for link in links)
        _keep(self._chains, name, _Known(authoriser=authoriser, since=since, until=until), _CHAINS)
        return authoriser


def _keep(kept: OrderedDict[_Name, _Value], name: _Name, value: _Value, most: int) -> None:
    kept[name] = value
    kept.move_to_end(name)
    if len(kept) > most:
        kept.popitem(last=False)

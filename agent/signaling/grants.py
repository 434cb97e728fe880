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
from protocol.errors import Overloaded, Untrusted
from protocol.messages import Grant
from protocol.names import Role

_Value = TypeVar("_Value")
_CHAINS: Final = 8  # of authorisers; a fleet has one at a time, and a new one every few days
_GRANTS: Final = 256
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

    def believe(self, compact: str, *, jkt: str, now: float, may_meet: Callable[[], bool]) -> Grant:
        """Verify a grant for the key with the thumbprint `jkt`; whether it has ended is the caller's question.

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
            jws.verify_by(token, self._authoriser(token, datetime.fromtimestamp(now, UTC), may_meet))
            _keep(self._good, name, None, _GRANTS)
        return grant

    def _authoriser(self, token: jws.Unverified, now: datetime, may_meet: Callable[[], bool]) -> Identity:
        chain = jws.chain_of(token, "grant")
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


def _keep(kept: OrderedDict[bytes, _Value], name: bytes, value: _Value, most: int) -> None:
    kept[name] = value
    if len(kept) > most:
        kept.popitem(last=False)

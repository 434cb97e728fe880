"""A viewer's side of the protocol, for tests: a key, grants for it, and signed calls."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from protocol import jws
from protocol.messages import Bye, Candidate, Grant, Move, Offer, Renew, kind_of
from protocol.names import ISSUER_OF, Role
from provisioning import ca


@dataclass(frozen=True, slots=True, kw_only=True)
class Signer:
    """A key with its chain, as a device or an authoriser has it."""

    key: ec.EllipticCurvePrivateKey
    chain: list[x509.Certificate]

    def sign(self, kind: str, payload: dict[str, Any]) -> str:
        return jws.sign(kind, payload, key=self.key, chain=self.chain)


class TrustTree:
    """A root with issuing CAs in memory, and leaves from them."""

    def __init__(self, now: datetime | None = None) -> None:
        self.now = now or datetime.now(UTC)
        self._authority = ca.make_root(self.now)
        self.root = self._authority.certificate

    def leaf(self, role: Role, name: str) -> Signer:
        issuer = ca.make_issuer(ISSUER_OF[role], self._authority, self.now)
        key = ec.generate_private_key(ec.SECP256R1())
        leaf = ca.sign(key.public_key(), role=role, name=name, issuer=issuer, now=self.now)
        return Signer(key=key, chain=[leaf, issuer.certificate])


@dataclass(kw_only=True)
class Caller:
    """One viewer who calls `device` with grants from `authoriser`."""

    device: str
    authoriser: Signer
    reply: str = "tester"
    key: ec.EllipticCurvePrivateKey = field(default_factory=lambda: ec.generate_private_key(ec.SECP256R1()))

    @property
    def jkt(self) -> str:
        return jws.jwk_thumbprint(jws.public_jwk(self.key.public_key()))

    def grant(self, now: float, **changes: Any) -> str:
        grant = Grant(
            iss="authoriser",
            sub="somebody",
            aud=self.device,
            scope=frozenset({"live"}),
            iat=int(now),
            exp=int(now) + 300,
            jti=secrets.token_hex(8),
            jkt=self.jkt,
            session_s=3600,
        )
        return self.authoriser.sign("grant", replace(grant, **changes).payload())

    def offer(self, *, challenge: str, grant: str, sdp: str = "v=0", **changes: Any) -> str:
        offer = Offer(
            device=self.device,
            sid=jws.base64url(secrets.token_bytes(16)),
            challenge=challenge,
            grant=grant,
            sdp=sdp,
            reply=self.reply,
            stream="main",
        )
        return self.sign(replace(offer, **changes))

    def sign(self, message: Offer | Candidate | Bye | Renew | Move) -> str:
        return jws.sign(kind_of(message), message.payload(), key=self.key)

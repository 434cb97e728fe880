"""Everybody who speaks in protocol/vectors.json, and one good message of each kind."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding

from protocol import jws
from protocol.certificates import thumbprint
from protocol.messages import Answer, Bye, Candidate, Grant, Move, Offer, Renew, Revoke, Status, Telemetry
from protocol.names import Issuer, Role
from provisioning import ca
from tests.kit.pki import new_key

NOW: Final = datetime(2026, 12, 1, 12, 0, tzinfo=UTC)
MADE: Final = NOW - timedelta(days=7)
SECONDS: Final = int(NOW.timestamp())
DEVICE: Final = "mfrggzdfmztwq2lknnwg23tpoa"
OTHER_DEVICE: Final = "nbswy3dpeb3w64tmmqqsc3dpoe"
AUTHORISER: Final = "fleet"
SID: Final = "AAECAwQFBgcICQoLDA0ODw"
_ISSUER_OF: Final = {"device": Issuer.DEVICE, "authoriser": Issuer.AUTHORISER}


@dataclass(frozen=True, slots=True, kw_only=True)
class Signer:
    """A key, and the chain or the jwk that goes with it into the header."""

    key: ec.EllipticCurvePrivateKey
    header: Mapping[str, Any]

    def compact(self, payload: Any, kind: str, **header: Any) -> str:
        """Sign anything, under any header: joserfc would refuse half of what is wanted here."""
        members = {"alg": "ES256", "typ": jws.typ_of(kind), **self.header, **header}
        parts = [json.dumps({name: value for name, value in members.items() if value is not None}).encode()]
        parts.append(payload if isinstance(payload, bytes) else json.dumps(payload).encode())
        signed = ".".join(jws.base64url(part) for part in parts)
        return f"{signed}.{jws.base64url(_signature(self.key, signed.encode()))}"


class Cast:
    """Everybody who speaks in the vectors."""

    def __init__(self) -> None:
        self.root = ca.make_root(MADE)
        self.issuers = {issuer: ca.make_issuer(issuer, self.root, MADE) for issuer in Issuer}
        self.device = self.chained("device", Role.DEVICE, DEVICE)
        self.leaf = x509.load_der_x509_certificate(base64.b64decode(self.device.header["x5c"][0]))
        self.authoriser = self.chained("authoriser", Role.AUTHORISER, AUTHORISER, made=NOW - timedelta(days=1))
        key = new_key()
        self.viewer = Signer(key=key, header={"jwk": jws.public_jwk(key.public_key())})
        self.status = Status(
            device=DEVICE,
            presence="online",
            iat=SECONDS - 30,
            challenge="EBESExQVFhcYGRobHB0eHw",
            viewers=1,
            camera="pattern 1280x720 at 30 fps",
            software="0.1.0",
        )
        self.grant = Grant(
            iss=AUTHORISER,
            sub="alice",
            aud=DEVICE,
            scope=frozenset({"live"}),
            iat=SECONDS,
            exp=SECONDS + 300,
            jti="ICEiIyQlJicoKSorLC0uLw",
            jkt=jws.jwk_thumbprint(self.viewer.header["jwk"]),
            session_s=3600,
        )
        self.offer = Offer(
            device=DEVICE,
            sid=SID,
            challenge=self.status.challenge,
            grant=self.authoriser.compact(self.grant.payload(), "grant"),
            sdp="v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\n",
            reply="gateway",
            stream="main",
        )
        self.signed_offer = self.viewer.compact(self.offer.payload(), "offer")
        fingerprint = thumbprint(self.leaf).hex(":").upper()
        self.answer = Answer(
            device=DEVICE,
            sid=SID,
            offer_sha256=jws.sha256(self.signed_offer),
            sdp=f"v=0\r\no=- 2 1 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\na=fingerprint:sha-256 {fingerprint}\r\n",
            session_s=3600,
        )
        self.candidate = Candidate(
            sid=SID,
            seq=1,
            candidate="candidate:1 1 udp 2130706431 192.0.2.7 50000 typ host",
            mid="0",
            mline=0,
        )
        self.bye = Bye(sid=SID, seq=2, reason="left")
        self.renew = Renew(sid=SID, seq=3, grant=self.offer.grant)
        self.move = Move(sid=SID, seq=4, sdp=self.offer.sdp)
        self.revoke = Revoke(device=DEVICE, iat=SECONDS, sub="alice")
        self.telemetry = Telemetry(
            device=DEVICE,
            iat=SECONDS,
            uptime_s=86_400,
            viewers=2,
            pending=1,
            refused={"badsignature": 7, "busy": 1},
            ended={"left": 3, "setup-timeout": 1},
            dropped=0,
            datagrams={"stranger": 12, "over-long": 1},
        )

    def chained(
        self,
        who: str,
        role: Role,
        name: str,
        *,
        issuer: ca.Authority | None = None,
        made: datetime = MADE,
        life: timedelta | None = None,
    ) -> Signer:
        """Somebody with a certificate; `issuer` and times may be wrong ones."""
        key, issuer = new_key(), issuer or self.issuers[_ISSUER_OF[who]]
        leaf = ca.sign(key.public_key(), role=role, name=name, issuer=issuer, now=made, life=life)
        return Signer(key=key, header={"x5c": [der_base64(leaf), der_base64(issuer.certificate)]})


def der_base64(certificate: x509.Certificate) -> str:
    """Say a certificate as x5c does."""
    return base64.b64encode(certificate.public_bytes(Encoding.DER)).decode()


def _signature(key: ec.EllipticCurvePrivateKey, signed: bytes) -> bytes:
    r, s = decode_dss_signature(key.sign(signed, ec.ECDSA(hashes.SHA256())))
    return r.to_bytes(32, "big") + s.to_bytes(32, "big")

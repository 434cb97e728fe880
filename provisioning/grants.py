"""Pure: grants, what an authoriser signs for one viewer's key and one device (protocol.md, messages)."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from cryptography import x509

from protocol import jws
from protocol.certificates import thumbprint
from protocol.messages import MAX_GRANT_S, Grant, Revoke
from provisioning.files import Leaf

ISSUER: Final = "fleet"
SESSION_S: Final = 3600


def make_grant(
    authoriser: Leaf,
    *,
    person: str,
    device: str,
    jwk: Mapping[str, str],
    scope: frozenset[str],
    jti: str,
    now: datetime,
    session_s: int = SESSION_S,
) -> str:
    """Sign a grant of MAX_GRANT_S seconds for the holder of `jwk`. Errors: Malformed for a key that is no P-256 JWK."""
    issued_at = int(now.timestamp())
    grant = Grant(
        iss=ISSUER,
        sub=person,
        aud=device,
        scope=scope,
        iat=issued_at,
        exp=issued_at + MAX_GRANT_S,
        jti=jti,
        jkt=jws.jwk_thumbprint(jwk),
        session_s=session_s,
    )
    return jws.sign("grant", grant.payload(), key=authoriser.key, chain=authoriser.chain)


def make_revoke(authoriser: Leaf, *, device: str, person: str, now: datetime) -> str:
    """Sign that what `person` was granted is taken back; with an empty name, what anybody was granted."""
    revoke = Revoke(device=device, iat=int(now.timestamp()), sub=person)
    return jws.sign("revoke", revoke.payload(), key=authoriser.key, chain=authoriser.chain)


def known_key(certificate: x509.Certificate) -> dict[str, Any]:
    """Say by what a viewer that holds no root knows a device: the public key and the hash of its certificate."""
    key = certificate.public_key()
    return {"jwk": jws.public_jwk(key), "x5t#S256": jws.base64url(thumbprint(certificate))}  # type: ignore[arg-type]

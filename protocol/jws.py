"""Compact JWS, ES256 only (RFC 7515, RFC 7518 section 3.4): sign, peek, verify.

Each kind of message has its own `typ`, so that no signature of one kind can be shown as another.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from joserfc import jws
from joserfc.errors import JoseError
from joserfc.jwk import ECKey

from protocol import certificates
from protocol.certificates import Identity
from protocol.errors import BadSignature, Malformed
from protocol.names import Role

MAX_MESSAGE: Final = 64 * 1024
_ALGORITHMS: Final = ["ES256"]
_HEADERS: Final = frozenset({"alg", "typ", "x5c", "jwk"})


class _Registry(jws.JWSRegistry):
    """joserfc's own caps are made for tokens; ours hold an SDP and a chain, and one cap is enough."""

    max_header_length = max_payload_length = max_value_length = MAX_MESSAGE


_REGISTRY: Final = _Registry(algorithms=_ALGORITHMS)


@dataclass(frozen=True, slots=True, kw_only=True)
class Unverified:
    """A message taken apart, and not yet believed."""

    compact: str
    typ: str
    header: Mapping[str, Any]
    payload: Mapping[str, Any]
    signed: jws.CompactSignature  # as joserfc took it apart, so that verifying takes nothing apart again


def typ_of(kind: str) -> str:
    """Name the `typ` of a kind of message (RFC 8725, section 3.11)."""
    return f"camward-{kind}+jws"


def sign(
    kind: str,
    payload: Mapping[str, Any],
    *,
    key: ec.EllipticCurvePrivateKey,
    chain: Sequence[x509.Certificate] = (),
) -> str:
    """Sign `payload` as a message of `kind`: with `x5c` when there is a chain, else with the key's own `jwk`."""
    signer = ECKey.import_key(key)
    header: dict[str, Any] = {"alg": "ES256", "typ": typ_of(kind)}
    if chain:
        header["x5c"] = [base64.b64encode(entry.public_bytes(Encoding.DER)).decode() for entry in chain]
    else:
        header["jwk"] = public_jwk(key.public_key())
    return jws.serialize_compact(header, json.dumps(payload, separators=(",", ":")), signer, registry=_REGISTRY)


def peek(message: bytes | str) -> Unverified:
    """Take a message apart without believing it. Errors: Malformed, before anything large is built."""
    if len(message) > MAX_MESSAGE:
        raise Malformed(f"a message has at most {MAX_MESSAGE} bytes")
    try:
        compact = message if isinstance(message, str) else message.decode("ascii")
        signed = jws.extract_compact(compact.encode("ascii"), registry=_REGISTRY)
        header, payload = signed.headers(), json.loads(signed.payload.decode())
    except (JoseError, ValueError, RecursionError) as error:
        raise Malformed("not a compact JWS with a JSON payload") from error
    if not isinstance(payload, dict) or not isinstance(header, dict):
        raise Malformed("header and payload are JSON objects")
    if header.get("alg") != "ES256" or not set(header) <= _HEADERS or not isinstance(header.get("typ"), str):
        raise Malformed("the header has alg ES256, a typ, and x5c or jwk")
    return Unverified(compact=compact, typ=header["typ"], header=header, payload=payload, signed=signed)


def verify_by_chain(message: Unverified, kind: str, *, root: x509.Certificate, role: Role, now: datetime) -> Identity:
    """Believe a message that a certificate of `role` under `root` signed.

    Errors: Malformed for another kind, Untrusted for the chain, BadSignature.
    """
    identity = certificates.verify_chain(chain_of(message, kind), root=root, role=role, now=now)
    verify_by(message, identity)
    return identity


def chain_of(message: Unverified, kind: str) -> list[bytes]:
    """Give the certificates that a message of `kind` carries, DER, leaf first; nobody believes them yet.

    Errors: Malformed, also for another kind.
    """
    _same_kind(message, kind)
    encoded = message.header.get("x5c")
    if not isinstance(encoded, list) or not all(isinstance(entry, str) for entry in encoded):
        raise Malformed("x5c is a list of base64 certificates")
    try:
        return [base64.b64decode(entry, validate=True) for entry in encoded]
    except ValueError as error:
        raise Malformed("x5c is a list of base64 certificates") from error


def verify_by(message: Unverified, identity: Identity) -> None:
    """Believe that the holder of a verified chain signed this. Errors: BadSignature."""
    _verify(message, ECKey.import_key(identity.key))


def verify_by_own_key(message: Unverified, kind: str) -> str:
    """Believe that the holder of the key in the header signed this; give the key's thumbprint (RFC 7638).

    Errors: Malformed, BadSignature.
    """
    _same_kind(message, kind)
    key = _own_key(message)
    _verify(message, key)
    return key.thumbprint()


def claimed_thumbprint(message: Unverified) -> str:
    """Give the thumbprint of the key in the header, which may have signed this or not. Errors: Malformed.

    It costs a hash and no curve; `verify_by_own_key` gives the same for a key that is one.
    """
    members = {name: _own_jwk(message).get(name) for name in ("crv", "kty", "x", "y")}
    return base64url(
        hashlib.sha256(json.dumps(members, separators=(",", ":")).encode()).digest()
    )  # RFC 7638, section 3


def _own_key(message: Unverified) -> ECKey:
    jwk = _own_jwk(message)
    try:
        return ECKey.import_key({name: jwk[name] for name in ("kty", "crv", "x", "y")})
    except (JoseError, ValueError, KeyError, TypeError) as error:
        raise Malformed("jwk is a public P-256 key") from error


def _own_jwk(message: Unverified) -> dict[str, Any]:
    jwk = message.header.get("jwk")
    if not isinstance(jwk, dict) or jwk.get("kty") != "EC" or jwk.get("crv") != "P-256" or "d" in jwk:
        raise Malformed("jwk is a public P-256 key")
    return jwk


def public_jwk(key: ec.EllipticCurvePublicKey) -> dict[str, str]:
    """Say a P-256 public key as a JWK of its four required members (RFC 7518, section 6.2)."""
    numbers = key.public_numbers()
    return {
        "kty": "EC",
        "crv": "P-256",
        "x": base64url(numbers.x.to_bytes(32, "big")),
        "y": base64url(numbers.y.to_bytes(32, "big")),
    }


def jwk_thumbprint(jwk: Mapping[str, str]) -> str:
    """RFC 7638 thumbprint of a public P-256 JWK, base64url. Errors: Malformed."""
    try:
        return ECKey.import_key({name: jwk[name] for name in ("kty", "crv", "x", "y")}).thumbprint()
    except (JoseError, ValueError, KeyError, TypeError) as error:
        raise Malformed("a viewer's key is a public P-256 JWK") from error


def base64url(data: bytes) -> str:
    """Base64url without padding (RFC 7515, section 2)."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def sha256(compact: str) -> str:
    """SHA-256 of a compact message, base64url: how an answer names the offer that it answers."""
    return base64url(hashlib.sha256(compact.encode("ascii")).digest())


def _same_kind(message: Unverified, kind: str) -> None:
    if message.typ != typ_of(kind):
        raise Malformed(f"not a message of the kind {kind}")


def _verify(message: Unverified, key: ECKey) -> None:
    try:
        good = jws.validate_compact(message.signed, key, registry=_REGISTRY)
    except (JoseError, ValueError) as error:
        raise BadSignature("the signature does not verify") from error
    if not good:
        raise BadSignature("the signature does not verify")

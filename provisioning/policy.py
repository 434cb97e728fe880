"""Pure: which certificate requests are acceptable, and which certificate is asked for (PKCS 10, RFC 2986)."""

from __future__ import annotations

import base64
import binascii
from typing import Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec

from protocol.certificates import role_of
from protocol.errors import Untrusted
from protocol.names import Role

MAX_CSR: Final = 8 * 1024


class RequestRefused(Exception):
    """The request is not acceptable; one line that says what is."""


class WrongRole(Exception):
    """The certificate that was shown does not ask here."""


def requested_key(body: bytes) -> ec.EllipticCurvePublicKey:
    """Read the key out of a CSR: base64 of DER, wrapped or not (RFC 8951, section 3.2.1). Errors: RequestRefused.

    Nothing else in the CSR is looked at: the fleet says what stands in a certificate.
    """
    if len(body) > MAX_CSR:
        raise RequestRefused(f"a certificate request has at most {MAX_CSR} bytes")
    try:
        request = x509.load_der_x509_csr(base64.b64decode(b"".join(body.split()), validate=True))
        signed = request.is_signature_valid
        key = request.public_key()
    except (binascii.Error, ValueError, UnsupportedAlgorithm, InvalidSignature, x509.InvalidVersion) as error:
        raise RequestRefused("the body is not a certificate request: base64 of PKCS 10 in DER is wanted") from error
    if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, ec.SECP256R1):
        raise RequestRefused("a device's key is a P-256 key")
    if not signed:
        raise RequestRefused("the request is not signed with its own key")
    return key


def who_asks(leaf: x509.Certificate, key: ec.EllipticCurvePublicKey, *, allowed: frozenset[Role]) -> str:
    """Give the device id of who asks with `leaf` for an operational certificate.

    Errors: WrongRole, and RequestRefused where the key is not a new one.
    """
    try:
        role, name = role_of(leaf)
    except Untrusted as error:
        raise WrongRole("the certificate names no device") from error
    if role not in allowed:
        raise WrongRole(f"a {role} certificate does not ask here; {' or '.join(sorted(allowed))} does")
    if leaf.public_key() == key:
        raise RequestRefused("an operational certificate wants a new key, not the one of the certificate that asks")
    return name

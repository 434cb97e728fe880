"""Certificate profiles, and the one way to verify a chain: root, issuing CA, role."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID as Usage
from cryptography.x509.verification import PolicyBuilder, Store, VerificationError

from protocol.errors import Untrusted
from protocol.names import ISSUER_OF, Role, issuer_urn, role_urn

ROOT_LIFE: Final = timedelta(days=20 * 365)
ISSUER_LIFE: Final = timedelta(days=10 * 365 + 30)
CLOCK_SKEW: Final = timedelta(minutes=5)  # a leaf is valid from a little before it was signed
MOST_CERTIFICATES: Final = 3  # in an x5c: a leaf, its issuing CA, and at most one more


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """What a leaf of one role looks like (protocol.md, names and certificates)."""

    role: Role
    life: timedelta
    usage: x509.ObjectIdentifier


PROFILES: Final = {
    profile.role: profile
    for profile in (
        Profile(role=Role.BIRTH, life=timedelta(days=3650), usage=Usage.CLIENT_AUTH),
        Profile(role=Role.DEVICE, life=timedelta(days=30), usage=Usage.CLIENT_AUTH),
        Profile(role=Role.AUTHORISER, life=timedelta(days=7), usage=Usage.CLIENT_AUTH),
        Profile(role=Role.SERVICE, life=timedelta(days=90), usage=Usage.CLIENT_AUTH),
        Profile(role=Role.APP, life=timedelta(days=90), usage=Usage.CLIENT_AUTH),
        Profile(role=Role.SERVER, life=timedelta(days=90), usage=Usage.SERVER_AUTH),
    )
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """Who a verified chain speaks for."""

    role: Role
    name: str
    leaf: x509.Certificate

    @property
    def key(self) -> ec.EllipticCurvePublicKey:
        """The leaf's P-256 public key."""
        key = self.leaf.public_key()
        assert isinstance(key, ec.EllipticCurvePublicKey)  # noqa: S101  # verify_chain has checked it
        return key


def verify_chain(chain: Sequence[bytes], *, root: x509.Certificate, role: Role, now: datetime) -> Identity:
    """Verify DER certificates, leaf first, against `root` for `role` at `now` (RFC 5280, section 6).

    The leaf's issuer must be the issuing CA of that role: another CA under the same root vouches for nothing.
    Errors: Untrusted.
    """
    if not 1 <= len(chain) <= MOST_CERTIFICATES:
        raise Untrusted(f"a chain has 1 to {MOST_CERTIFICATES} certificates")
    try:
        leaf, *others = [x509.load_der_x509_certificate(der) for der in chain]
        verifier = PolicyBuilder().store(Store([root])).time(now).build_client_verifier()
        path = verifier.verify(leaf, others).chain
    except (ValueError, VerificationError, x509.DuplicateExtension, x509.InvalidVersion) as error:
        raise Untrusted(f"the chain does not verify: {error}") from error
    issuers = [issuer for issuer in path[1:] if issuer != root]
    if [_uris(issuer) for issuer in issuers] != [[issuer_urn(ISSUER_OF[role])]]:
        raise Untrusted(f"the chain was not issued for the role {role}")
    if not isinstance(key := leaf.public_key(), ec.EllipticCurvePublicKey) or key.curve.name != "secp256r1":
        raise Untrusted("a leaf has a P-256 key")
    return Identity(role=role, name=_name(leaf, role), leaf=leaf)


def role_of(leaf: x509.Certificate) -> tuple[Role, str]:
    """Read role and name from a leaf that TLS has already verified. Errors: Untrusted."""
    for role in Role:
        try:
            return role, _name(leaf, role)
        except Untrusted:
            continue
    raise Untrusted("the certificate names no role")


def thumbprint(certificate: x509.Certificate) -> bytes:
    """SHA-256 of the DER: what `x5t#S256` (RFC 7515) and `a=fingerprint` (RFC 8122) are made of."""
    return certificate.fingerprint(hashes.SHA256())


def _name(leaf: x509.Certificate, role: Role) -> str:
    prefix = role_urn(role, "")
    names = [uri.removeprefix(prefix) for uri in _uris(leaf) if uri.startswith(prefix)]
    if len(names) != 1 or len(_uris(leaf)) != 1:
        raise Untrusted(f"the certificate does not carry the role {role}")
    return names[0]


def _uris(certificate: x509.Certificate) -> list[str]:
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (x509.ExtensionNotFound, ValueError):
        return []
    return names.get_values_for_type(x509.UniformResourceIdentifier)

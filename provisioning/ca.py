"""Pure: the fleet's certificates. Keys and the time come in, certificates come out (RFC 5280)."""

from __future__ import annotations

import ipaddress
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from protocol.certificates import CLOCK_SKEW, ISSUER_LIFE, PROFILES, ROOT_LIFE
from protocol.names import Issuer, Role, issuer_urn, role_urn

IPAddress = ipaddress.IPv4Address | ipaddress.IPv6Address

_SERIAL_BITS: Final = 128


@dataclass(frozen=True, slots=True, kw_only=True)
class Authority:
    """A CA that can sign: the root, or one of the issuing CAs under it."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey


def make_root(now: datetime) -> Authority:
    """Make the fleet's root with a new P-256 key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = _name(f"camward root {_key_id(key.public_key()).digest[:4].hex()}")
    builder = _builder(name, name, key.public_key(), now, now + ROOT_LIFE)
    builder = _certificate_authority(builder, path_length=1)
    return Authority(certificate=builder.sign(key, hashes.SHA256()), key=key)


def make_issuer(issuer: Issuer, root: Authority, now: datetime) -> Authority:
    """Make the issuing CA of one kind of leaf under `root`; its SAN URI says which kind."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = _name(f"camward {issuer} CA {_key_id(key.public_key()).digest[:4].hex()}")
    certificate = _issuer_builder(issuer, name, root.certificate, key.public_key(), now).sign(root.key, hashes.SHA256())
    return Authority(certificate=certificate, key=key)


def anchor(authority: Authority, now: datetime) -> x509.Certificate:
    """Sign an issuing CA by itself: same subject, key and SKI.

    A TLS server that cannot stop at an issuing CA (partial chain) trusts one kind of client by it, and not the root.
    """
    certificate = authority.certificate
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    life_end = min(now + ISSUER_LIFE, certificate.not_valid_after_utc)
    builder = _builder(certificate.subject, certificate.subject, authority.key.public_key(), now, life_end)
    builder = _certificate_authority(builder, path_length=0).add_extension(names.value, critical=False)
    return builder.sign(authority.key, hashes.SHA256())


def sign(
    public_key: ec.EllipticCurvePublicKey,
    *,
    role: Role,
    name: str,
    issuer: Authority,
    now: datetime,
    dns_names: Sequence[str] = (),
    ip_addresses: Sequence[IPAddress] = (),
    life: timedelta | None = None,
) -> x509.Certificate:
    """Sign a leaf after its role's profile; it never outlives `issuer`.

    A server has DNS names and addresses, every other role a URN made of `name`.
    """
    profile = PROFILES[role]
    life_end = min(now + (life or profile.life), issuer.certificate.not_valid_after_utc)
    common_name = _name(f"birth-{name}" if role is Role.BIRTH else name)
    names: list[x509.GeneralName] = [x509.DNSName(dns_name) for dns_name in dns_names]
    names += [x509.IPAddress(address) for address in ip_addresses]
    if role is not Role.SERVER:
        names.append(x509.UniformResourceIdentifier(role_urn(role, name)))
    return (
        _builder(common_name, issuer.certificate.subject, public_key, now, life_end)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_key_usage(ca=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([profile.usage]), critical=False)
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(_issuer_key_id(issuer.certificate), critical=False)
        .sign(issuer.key, hashes.SHA256())
    )


def _issuer_builder(
    issuer: Issuer, name: x509.Name, root: x509.Certificate, key: ec.EllipticCurvePublicKey, now: datetime
) -> x509.CertificateBuilder:
    names = x509.SubjectAlternativeName([x509.UniformResourceIdentifier(issuer_urn(issuer))])
    builder = _builder(name, root.subject, key, now, min(now + ISSUER_LIFE, root.not_valid_after_utc))
    builder = _certificate_authority(builder, path_length=0)
    return builder.add_extension(names, critical=False).add_extension(_issuer_key_id(root), critical=False)


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, now: datetime, life_end: datetime
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(secrets.randbits(_SERIAL_BITS))
        .not_valid_before(now - CLOCK_SKEW)
        .not_valid_after(life_end)
        .add_extension(_key_id(key), critical=False)
    )


def _certificate_authority(builder: x509.CertificateBuilder, *, path_length: int) -> x509.CertificateBuilder:
    return builder.add_extension(x509.BasicConstraints(ca=True, path_length=path_length), critical=True).add_extension(
        _key_usage(ca=True), critical=True
    )


def _key_usage(*, ca: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not ca,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=ca,
        crl_sign=ca,
        encipher_only=False,
        decipher_only=False,
    )


def _name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _key_id(key: ec.EllipticCurvePublicKey) -> x509.SubjectKeyIdentifier:
    return x509.SubjectKeyIdentifier.from_public_key(key)


def _issuer_key_id(issuer: x509.Certificate) -> x509.AuthorityKeyIdentifier:
    key_id = issuer.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    return x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(key_id)

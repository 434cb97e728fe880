from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from protocol.certificates import CLOCK_SKEW, PROFILES, role_of, verify_chain
from protocol.errors import Untrusted
from protocol.names import ISSUER_OF, Issuer, Role, issuer_urn, role_urn
from provisioning import ca
from provisioning.ca import Authority
from tests.kit.pki import DEVICE, new_key

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
ROOT = ca.make_root(NOW)
ISSUERS = {issuer: ca.make_issuer(issuer, ROOT, NOW) for issuer in Issuer}
CLIENT_ROLES = [role for role in Role if role is not Role.SERVER]


def _sign(role: Role, name: str = DEVICE, issuer: Authority | None = None, **more: timedelta) -> x509.Certificate:
    issuer = issuer or ISSUERS[ISSUER_OF[role]]
    dns_names = ("fleet.example",) if role is Role.SERVER else ()
    return ca.sign(new_key().public_key(), role=role, name=name, issuer=issuer, now=NOW, dns_names=dns_names, **more)


def _der(*certificates: x509.Certificate) -> list[bytes]:
    return [certificate.public_bytes(Encoding.DER) for certificate in certificates]


@pytest.mark.parametrize("role", CLIENT_ROLES)
def test_a_leaf_of_each_role_verifies_against_the_root_alone(role: Role) -> None:
    leaf, issuer = _sign(role), ISSUERS[ISSUER_OF[role]].certificate
    identity = verify_chain(_der(leaf, issuer), root=ROOT.certificate, role=role, now=NOW)
    assert (identity.role, identity.name) == (role, DEVICE)
    assert role_of(leaf) == (role, DEVICE)


@pytest.mark.parametrize(
    ("role", "issuer"),
    [(role, issuer) for role in CLIENT_ROLES for issuer in Issuer if issuer is not ISSUER_OF[role]],
)
def test_an_issuing_ca_vouches_for_no_role_but_its_own(role: Role, issuer: Issuer) -> None:
    forged = _sign(role, issuer=ISSUERS[issuer])
    with pytest.raises(Untrusted):
        verify_chain(_der(forged, ISSUERS[issuer].certificate), root=ROOT.certificate, role=role, now=NOW)


def test_a_leaf_from_another_fleet_is_not_believed() -> None:
    foreign = ca.make_issuer(Issuer.DEVICE, ca.make_root(NOW), NOW)
    leaf = _sign(Role.DEVICE, issuer=foreign)
    with pytest.raises(Untrusted):
        verify_chain(_der(leaf, foreign.certificate), root=ROOT.certificate, role=Role.DEVICE, now=NOW)


def test_a_leaf_cannot_issue_another_one() -> None:
    key = new_key()
    issuer = ISSUERS[Issuer.DEVICE]
    first = ca.sign(key.public_key(), role=Role.DEVICE, name=DEVICE, issuer=issuer, now=NOW)
    forged = _sign(Role.DEVICE, name="b" * 26, issuer=Authority(certificate=first, key=key))
    with pytest.raises(Untrusted):
        verify_chain(_der(forged, first, issuer.certificate), root=ROOT.certificate, role=Role.DEVICE, now=NOW)


@pytest.mark.parametrize("role", Role)
def test_a_leaf_has_the_profile_of_its_role(role: Role) -> None:
    leaf = _sign(role)
    extensions = leaf.extensions
    constraints = extensions.get_extension_for_class(x509.BasicConstraints)
    usage = extensions.get_extension_for_class(x509.KeyUsage)
    assert constraints.critical
    assert not constraints.value.ca
    assert usage.critical
    assert usage.value.digital_signature
    assert not usage.value.key_cert_sign
    wanted = ExtendedKeyUsageOID.SERVER_AUTH if role is Role.SERVER else ExtendedKeyUsageOID.CLIENT_AUTH
    assert list(extensions.get_extension_for_class(x509.ExtendedKeyUsage).value) == [wanted]
    names = extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.UniformResourceIdentifier) == (
        [] if role is Role.SERVER else [role_urn(role, DEVICE)]
    )
    assert names.get_values_for_type(x509.DNSName) == (["fleet.example"] if role is Role.SERVER else [])
    issuer_key = extensions.get_extension_for_class(x509.AuthorityKeyIdentifier).value
    assert issuer_key.authority_cert_issuer is None
    own_key = x509.SubjectKeyIdentifier.from_public_key(leaf.public_key())
    assert extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value == own_key
    assert leaf.not_valid_before_utc == NOW - CLOCK_SKEW
    assert leaf.not_valid_after_utc == NOW + PROFILES[role].life
    assert len(leaf.public_bytes(Encoding.DER)) < 900


@pytest.mark.parametrize(("role", "common_name"), [(Role.DEVICE, DEVICE), (Role.BIRTH, f"birth-{DEVICE}")])
def test_the_common_name_is_what_the_broker_takes_as_user_name(role: Role, common_name: str) -> None:
    names = _sign(role).subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    assert [name.value for name in names] == [common_name]


def test_an_issuing_ca_says_what_it_may_sign_and_signs_no_ca() -> None:
    certificate = ISSUERS[Issuer.BIRTH].certificate
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.UniformResourceIdentifier) == [issuer_urn(Issuer.BIRTH)]
    assert certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.path_length == 0


def test_a_leaf_never_outlives_its_issuer() -> None:
    leaf = _sign(Role.BIRTH, life=timedelta(days=365 * 50))
    assert leaf.not_valid_after_utc == ISSUERS[Issuer.BIRTH].certificate.not_valid_after_utc


def test_serial_numbers_are_128_random_bits() -> None:
    serials = {_sign(Role.DEVICE).serial_number for _ in range(40)}
    assert len(serials) == 40
    assert 120 < max(serial.bit_length() for serial in serials) <= 128


def test_an_anchor_is_the_same_ca_signed_by_itself() -> None:
    authority = ISSUERS[Issuer.DEVICE]
    anchor = ca.anchor(authority, NOW)
    anchor.verify_directly_issued_by(anchor)
    _sign(Role.DEVICE).verify_directly_issued_by(anchor)
    key_id = x509.SubjectKeyIdentifier
    assert anchor.subject == authority.certificate.subject
    assert (
        anchor.extensions.get_extension_for_class(key_id).value
        == authority.certificate.extensions.get_extension_for_class(key_id).value
    )

from __future__ import annotations

import base64
import contextlib
import textwrap

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID
from hypothesis import given
from hypothesis import strategies as st

from protocol.names import Issuer, Role
from provisioning import ca, policy
from provisioning.policy import MAX_CSR, RequestRefused, WrongRole
from tests.kit.pki import DEVICE, new_key, utc_now

NOW = utc_now()
KEY = new_key()
ROOT = ca.make_root(NOW)


def _csr(key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey, subject: str = "anything") -> bytes:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, subject)])
    return (
        x509.CertificateSigningRequestBuilder().subject_name(name).sign(key, hashes.SHA256()).public_bytes(Encoding.DER)
    )


def _leaf(role: Role, key: ec.EllipticCurvePrivateKey = KEY) -> x509.Certificate:
    issuer = ca.make_issuer(Issuer.DEVICE, ROOT, NOW)
    return ca.sign(key.public_key(), role=role, name=DEVICE, issuer=issuer, now=NOW, dns_names=("x",))


@pytest.mark.parametrize("wrapped", [False, True])
def test_a_request_is_read_from_one_line_of_base64_or_many(wrapped: bool) -> None:
    body = base64.b64encode(_csr(KEY)).decode()
    if wrapped:
        body = "\r\n".join(textwrap.wrap(body, 64)) + "\r\n"
    assert policy.requested_key(body.encode()) == KEY.public_key()


def test_der_without_base64_is_not_est() -> None:
    with pytest.raises(RequestRefused, match="base64"):
        policy.requested_key(_csr(KEY))


def test_a_request_that_its_key_did_not_sign_is_refused() -> None:
    der = bytearray(_csr(KEY))
    der[-1] ^= 1
    with pytest.raises(RequestRefused):
        policy.requested_key(base64.b64encode(bytes(der)))


@pytest.mark.parametrize(
    "key",
    [ec.generate_private_key(ec.SECP384R1()), rsa.generate_private_key(65537, 2048)],
    ids=["P-384", "RSA"],
)
def test_a_key_that_is_not_p256_is_refused(key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey) -> None:
    with pytest.raises(RequestRefused, match="P-256"):
        policy.requested_key(base64.b64encode(_csr(key)))


def test_an_ed25519_key_is_refused() -> None:
    key = ed25519.Ed25519PrivateKey.generate()
    csr = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([])).sign(key, None)
    with pytest.raises(RequestRefused, match="P-256"):
        policy.requested_key(base64.b64encode(csr.public_bytes(Encoding.DER)))


def test_a_request_that_is_too_long_is_not_parsed() -> None:
    with pytest.raises(RequestRefused, match=str(MAX_CSR)):
        policy.requested_key(b"A" * (MAX_CSR + 1))


@given(st.binary(max_size=400))
def test_no_bytes_give_anything_but_a_refusal(body: bytes) -> None:
    for sent in (body, base64.b64encode(body)):
        with pytest.raises(RequestRefused):
            policy.requested_key(sent)


@pytest.mark.parametrize("change", [0x01, 0x02, 0x20, 0x80, 0xFF])
def test_a_changed_byte_is_refused_or_changes_nothing(change: int) -> None:
    der = _csr(KEY)
    for place in range(len(der)):
        changed = bytes([*der[:place], der[place] ^ change, *der[place + 1 :]])
        with contextlib.suppress(RequestRefused):
            assert policy.requested_key(base64.b64encode(changed)) == KEY.public_key()


def test_the_device_that_asks_is_the_one_in_its_certificate() -> None:
    key = new_key().public_key()
    assert policy.who_asks(_leaf(Role.BIRTH), key, allowed=frozenset({Role.BIRTH})) == DEVICE
    assert policy.who_asks(_leaf(Role.DEVICE), key, allowed=frozenset({Role.BIRTH, Role.DEVICE})) == DEVICE


@pytest.mark.parametrize("role", [Role.DEVICE, Role.APP, Role.SERVICE, Role.AUTHORISER, Role.SERVER])
def test_only_a_birth_certificate_asks_for_the_first_operational_one(role: Role) -> None:
    with pytest.raises(WrongRole):
        policy.who_asks(_leaf(role), new_key().public_key(), allowed=frozenset({Role.BIRTH}))


@pytest.mark.parametrize("role", [Role.BIRTH, Role.DEVICE])
def test_an_operational_certificate_wants_a_key_of_its_own(role: Role) -> None:
    with pytest.raises(RequestRefused, match="new key"):
        policy.who_asks(_leaf(role), KEY.public_key(), allowed=frozenset({Role.BIRTH, Role.DEVICE}))

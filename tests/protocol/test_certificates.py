from __future__ import annotations

import ipaddress
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from hypothesis import given
from hypothesis import strategies as st

from protocol import certificates
from protocol.certificates import verify_chain
from protocol.errors import Untrusted
from protocol.names import Issuer, Role, role_urn
from provisioning import ca
from tests.kit.pki import DEVICE, new_key

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
ROOT = ca.make_root(NOW)
DEVICES = ca.make_issuer(Issuer.DEVICE, ROOT, NOW)
LEAF = ca.sign(new_key().public_key(), role=Role.DEVICE, name=DEVICE, issuer=DEVICES, now=NOW)


def _der(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(Encoding.DER)


CHAIN = [_der(LEAF), _der(DEVICES.certificate)]


def _verify(chain: list[bytes], now: datetime = NOW) -> certificates.Identity:
    return verify_chain(chain, root=ROOT.certificate, role=Role.DEVICE, now=now)


def _leaf_with(*uris: str, key: ec.EllipticCurvePublicKey | None = None) -> x509.Certificate:
    """A leaf as the issuer of devices would sign it, with other names or another key."""
    builder = x509.CertificateBuilder(
        issuer_name=LEAF.issuer,
        subject_name=LEAF.subject,
        public_key=key or new_key().public_key(),
        serial_number=7,
        not_valid_before=LEAF.not_valid_before_utc,
        not_valid_after=LEAF.not_valid_after_utc,
    )
    names = x509.SubjectAlternativeName([x509.UniformResourceIdentifier(uri) for uri in uris])
    for extension in LEAF.extensions:
        same = not isinstance(extension.value, x509.SubjectAlternativeName)
        builder = builder.add_extension(extension.value if same else names, extension.critical)
    return builder.sign(DEVICES.key, hashes.SHA256())


def test_a_chain_says_who_it_is_and_whose_key() -> None:
    identity = _verify(CHAIN)
    assert (identity.role, identity.name, identity.leaf) == (Role.DEVICE, DEVICE, LEAF)
    assert identity.key == LEAF.public_key()


def test_the_root_may_come_along() -> None:
    assert _verify([*CHAIN, _der(ROOT.certificate)]).name == DEVICE


@pytest.mark.parametrize("entries", [0, 4])
def test_a_chain_of_no_or_too_many_certificates_is_not_looked_at(entries: int) -> None:
    with pytest.raises(Untrusted, match="1 to 3"):
        _verify([CHAIN[0]] * entries)


def test_a_certificate_counts_from_its_first_to_its_last_second() -> None:
    second = timedelta(seconds=1)
    first, last = LEAF.not_valid_before_utc, LEAF.not_valid_after_utc
    assert _verify(CHAIN, last).name == DEVICE
    for outside in (first - second, last + second):
        with pytest.raises(Untrusted):
            _verify(CHAIN, outside)


@pytest.mark.parametrize(
    "uris",
    [
        [],
        [role_urn(Role.APP, DEVICE)],
        ["urn:camward:ca:device"],
        [role_urn(Role.DEVICE, DEVICE), role_urn(Role.DEVICE, "b" * 26)],
        [role_urn(Role.DEVICE, DEVICE), role_urn(Role.APP, "panel")],
    ],
)
def test_a_leaf_carries_exactly_one_role_and_the_one_that_is_wanted(uris: list[str]) -> None:
    with pytest.raises(Untrusted):
        _verify([_der(_leaf_with(*uris)), CHAIN[1]])


def test_a_leaf_on_another_curve_is_refused() -> None:
    p384 = ec.generate_private_key(ec.SECP384R1()).public_key()
    with pytest.raises(Untrusted, match="P-256"):
        _verify([_der(_leaf_with(role_urn(Role.DEVICE, DEVICE), key=p384)), CHAIN[1]])


def test_a_server_names_no_role() -> None:
    issuer = ca.make_issuer(Issuer.SERVER, ROOT, NOW)
    address = ipaddress.ip_address("127.0.0.1")
    key = new_key().public_key()
    server = ca.sign(key, role=Role.SERVER, name="fleet", issuer=issuer, now=NOW, ip_addresses=[address])
    with pytest.raises(Untrusted):
        certificates.role_of(server)


@given(st.lists(st.binary(max_size=200), min_size=1, max_size=3))
def test_no_bytes_are_a_chain(chain: list[bytes]) -> None:
    with pytest.raises(Untrusted):
        _verify(chain)


@pytest.mark.filterwarnings("ignore:Parsed a serial number")
@pytest.mark.parametrize("which", [0, 1], ids=["leaf", "issuer"])
@pytest.mark.parametrize("change", [0x01, 0x02, 0x03, 0x80, 0xFF])
def test_a_changed_byte_makes_a_chain_untrusted_and_nothing_worse(which: int, change: int) -> None:
    original = CHAIN[which]
    believed = []
    for place in range(len(original)):
        changed = list(CHAIN)
        changed[which] = bytes([*original[:place], original[place] ^ change, *original[place + 1 :]])
        try:
            believed.append((place, _verify(changed)))
        except Untrusted:
            continue
    # The number of unused bits of the signature's BIT STRING is the one byte that nobody signs and nobody reads.
    unread = [place for place, identity in believed if (identity.name, identity.key) == (DEVICE, LEAF.public_key())]
    assert len(unread) == len(believed) <= 1


def test_a_thumbprint_is_the_sha256_of_the_der() -> None:
    digest = hashes.Hash(hashes.SHA256())
    digest.update(CHAIN[0])
    assert certificates.thumbprint(LEAF) == digest.finalize()

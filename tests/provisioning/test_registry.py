from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from protocol.names import Issuer, Role
from provisioning import ca
from provisioning.claims import CLAIM_LIFE, SAME_KEY
from provisioning.errors import CertificateRefused, ClaimRefused, RegistryError, Unknown
from provisioning.registry import Claim, Registry
from tests.kit.pki import new_key

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
SECOND = timedelta(seconds=1)
ROOT = ca.make_root(NOW)
BIRTH, DEVICES = (ca.make_issuer(issuer, ROOT, NOW) for issuer in (Issuer.BIRTH, Issuer.DEVICE))


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'registry.sqlite'}"


@pytest.fixture
def registry(url: str) -> Iterator[Registry]:
    registry = Registry(url)
    yield registry
    registry.close()


def _signer(role: Role, key: ec.EllipticCurvePublicKey, now: datetime) -> Callable[[str], x509.Certificate]:
    issuer = BIRTH if role is Role.BIRTH else DEVICES
    return lambda device: ca.sign(key, role=role, name=device, issuer=issuer, now=now)


def _redeem(
    registry: Registry, claim: Claim, key: ec.EllipticCurvePublicKey, now: datetime = NOW, serial: str = "pi-1"
) -> x509.Certificate:
    return registry.redeem(claim.code, serial, key, now, _signer(Role.BIRTH, key, now))


def _operational(
    registry: Registry, shown: x509.Certificate, key: ec.EllipticCurvePublicKey, now: datetime = NOW
) -> x509.Certificate:
    return registry.operational(shown, key, now, _signer(Role.DEVICE, key, now))


def _key() -> ec.EllipticCurvePublicKey:
    return new_key().public_key()


def _kinds(registry: Registry) -> list[str]:
    return [event.kind for event in registry.events_after(0)]


def test_a_code_gives_one_key_the_birth_certificate_of_its_device(registry: Registry) -> None:
    claim = registry.claim("pi-1", "Porch", NOW)
    certificate = _redeem(registry, claim, _key())
    assert registry.valid_certificates(claim.device, NOW, Role.BIRTH) == [certificate]
    assert registry.device(claim.device).state == "enrolled"
    assert _kinds(registry) == ["claimed", "enrolled"]


def test_a_code_has_128_bits_and_may_be_typed_in_any_case_without_its_groups(registry: Registry) -> None:
    claim = registry.claim("pi-1", "Porch", NOW)
    assert len(claim.code.replace("-", "")) * 5 >= 128
    typed = Claim(code=claim.code.lower().replace("-", " "), device=claim.device, expires_at=claim.expires_at)
    assert _redeem(registry, typed, _key())


def test_no_code_stands_in_the_database(registry: Registry, tmp_path: Path) -> None:
    claim = registry.claim("pi-1", "Porch", NOW)
    _redeem(registry, claim, _key())
    registry.close()
    kept = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    assert claim.device.encode() in kept
    assert claim.code.encode() not in kept
    assert claim.code.replace("-", "").encode() not in kept


def test_the_same_key_gets_the_same_certificate_again_for_ten_minutes(registry: Registry) -> None:
    claim, key = registry.claim("pi-1", "Porch", NOW), _key()
    first = _redeem(registry, claim, key)
    assert _redeem(registry, claim, key, NOW + SAME_KEY) == first
    with pytest.raises(ClaimRefused, match="used before"):
        _redeem(registry, claim, key, NOW + SAME_KEY + SECOND)
    assert "alarm" not in _kinds(registry)


def test_another_key_for_a_used_code_is_refused_and_raises_an_alarm(registry: Registry) -> None:
    claim, key = registry.claim("pi-1", "Porch", NOW), _key()
    first = _redeem(registry, claim, key)
    with pytest.raises(ClaimRefused):
        _redeem(registry, claim, _key())
    assert registry.events_after(0)[-1].kind == "alarm"
    assert registry.events_after(0)[-1].device == claim.device
    assert registry.valid_certificates(claim.device, NOW, Role.BIRTH) == [first]


def test_a_code_shown_by_other_hardware_is_refused_raises_an_alarm_and_stays_usable(registry: Registry) -> None:
    claim = registry.claim("pi-1", "Porch", NOW)
    with pytest.raises(ClaimRefused):
        _redeem(registry, claim, _key(), serial="pi-2")
    assert _kinds(registry) == ["claimed", "alarm"]
    assert _redeem(registry, claim, _key())


def test_an_unknown_code_is_refused(registry: Registry) -> None:
    registry.claim("pi-1", "Porch", NOW)
    guess = Claim(code="AAAAA-AAAAA-AAAAA-AAAAA-AAAAA-A", device="", expires_at=NOW)
    with pytest.raises(ClaimRefused, match="no such code"):
        _redeem(registry, guess, _key())


def test_a_code_ends_after_a_day(registry: Registry) -> None:
    claim = registry.claim("pi-1", "Porch", NOW)
    with pytest.raises(ClaimRefused, match="expired"):
        _redeem(registry, claim, _key(), NOW + CLAIM_LIFE)
    assert _redeem(registry, claim, _key(), NOW + CLAIM_LIFE - SECOND)


def test_a_second_code_takes_the_place_of_the_first(registry: Registry) -> None:
    first, second = (registry.claim("pi-1", "Porch", NOW) for _ in range(2))
    assert first.device == second.device
    with pytest.raises(ClaimRefused):
        _redeem(registry, first, _key())
    assert _redeem(registry, second, _key())


def test_enrolling_anew_withdraws_the_certificates_from_before(registry: Registry) -> None:
    birth = _redeem(registry, registry.claim("pi-1", "Porch", NOW), _key())
    operational = _operational(registry, birth, _key())
    claim = registry.claim("pi-1", "Garden", NOW)
    again = _redeem(registry, claim, _key())
    assert registry.valid_certificates(claim.device, NOW, Role.BIRTH) == [again]
    assert registry.valid_certificates(claim.device, NOW) == []
    assert registry.withdrawn_serials(NOW) == [operational.serial_number]
    assert _kinds(registry)[-2:] == ["revoked", "enrolled"]
    with pytest.raises(CertificateRefused):
        _operational(registry, birth, _key())


def test_a_birth_certificate_gives_operational_ones_and_the_same_key_the_same_one(registry: Registry) -> None:
    birth = _redeem(registry, registry.claim("pi-1", "Porch", NOW), _key())
    key = _key()
    first = _operational(registry, birth, key)
    assert _operational(registry, birth, key, NOW + timedelta(days=1)) == first


def test_the_old_certificate_holds_until_the_new_one_is_seen_in_use(registry: Registry) -> None:
    claim = registry.claim("pi-1", "Porch", NOW)
    birth = _redeem(registry, claim, _key())
    old = _operational(registry, birth, _key())
    new = _operational(registry, old, _key())
    registry.seen(old.serial_number, NOW)
    assert registry.valid_certificates(claim.device, NOW) == [old, new]
    registry.seen(new.serial_number, NOW)
    assert registry.valid_certificates(claim.device, NOW) == [new]
    registry.check(new.serial_number, NOW)
    with pytest.raises(CertificateRefused, match="superseded"):
        registry.check(old.serial_number, NOW)
    assert registry.withdrawn_serials(NOW) == [old.serial_number]


def test_asking_often_leaves_the_one_in_use_and_the_newest(registry: Registry) -> None:
    claim = registry.claim("pi-1", "Porch", NOW)
    used = _operational(registry, _redeem(registry, claim, _key()), _key())
    newest = [_operational(registry, used, _key()) for _ in range(5)][-1]
    assert registry.valid_certificates(claim.device, NOW) == [used, newest]


def test_a_certificate_that_ended_is_no_longer_valid_and_needs_no_place_in_a_crl(registry: Registry) -> None:
    claim = registry.claim("pi-1", "Porch", NOW)
    birth = _redeem(registry, claim, _key())
    ended = _operational(registry, birth, _key())
    later = ended.not_valid_after_utc + SECOND
    assert registry.valid_certificates(claim.device, later) == []
    with pytest.raises(CertificateRefused, match="expired"):
        _operational(registry, ended, _key(), later)
    assert _operational(registry, birth, _key(), later)
    registry.revoke(claim.device, later)
    assert ended.serial_number not in registry.withdrawn_serials(later)


def test_a_revoked_device_loses_both_certificates_and_its_open_code(registry: Registry) -> None:
    claim = registry.claim("pi-1", "Porch", NOW)
    birth = _redeem(registry, claim, _key())
    operational = _operational(registry, birth, _key())
    unused = registry.claim("pi-1", "Porch", NOW)
    for _ in range(2):
        registry.revoke(claim.device, NOW)
    assert registry.device(claim.device).state == "revoked"
    assert registry.withdrawn_serials(NOW) == [operational.serial_number]
    assert _kinds(registry).count("revoked") == 1
    for shown in (birth, operational):
        with pytest.raises(CertificateRefused):
            _operational(registry, shown, _key())
    for code in (claim, unused):
        with pytest.raises(ClaimRefused):
            _redeem(registry, code, _key())


def test_a_revoked_device_comes_back_with_a_new_code_only(registry: Registry) -> None:
    claim = registry.claim("pi-1", "Porch", NOW)
    _redeem(registry, claim, _key())
    registry.revoke(claim.device, NOW)
    again = registry.claim("pi-1", "Porch", NOW)
    assert registry.device(claim.device).state == "claimed"
    assert _redeem(registry, again, _key())
    assert registry.device(claim.device).state == "enrolled"


def test_a_certificate_from_elsewhere_is_unknown(registry: Registry) -> None:
    stray = ca.sign(_key(), role=Role.BIRTH, name="a" * 26, issuer=BIRTH, now=NOW)
    with pytest.raises(Unknown):
        _operational(registry, stray, _key())
    registry.seen(stray.serial_number, NOW)
    assert registry.events_after(0) == []


@pytest.mark.parametrize("device", ["", "a" * 26])
def test_an_unknown_device_is_said_to_be_unknown(registry: Registry, device: str) -> None:
    with pytest.raises(Unknown, match="camward fleet devices"):
        registry.revoke(device, NOW)
    with pytest.raises(Unknown):
        registry.device(device)


@pytest.mark.parametrize("serial", ["", "has space", "has:colon", "line\n", "ü", "x" * 129])
def test_a_serial_that_cannot_be_a_user_name_is_refused(registry: Registry, serial: str) -> None:
    with pytest.raises(RegistryError, match="serial"):
        registry.claim(serial, "Porch", NOW)


def test_devices_are_listed_by_label_and_events_from_a_number_on(registry: Registry) -> None:
    for serial, label in (("pi-1", "Porch"), ("pi-2", "Garden")):
        registry.claim(serial, label, NOW)
    assert [device.label for device in registry.devices()] == ["Garden", "Porch"]
    assert [event.number for event in registry.events_after(1)] == [2]

"""Renewal with our client at our EST service, on real TLS."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509

from agent.config import IdentityConfig
from agent.identity.enroll import enroll
from agent.identity.errors import Damaged, EnrollmentError, Rejected, Unreachable
from agent.identity.renewal import Renewal, renew_at
from agent.identity.store import KeyStore, Slot
from protocol.names import Role
from provisioning.registry import Registry
from provisioning.store import Fleet
from tests.kit.pki import DEVICE, enrol, issue_leaf, make_fleet, serving_est, utc_now

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)


@dataclass(frozen=True, kw_only=True)
class Device:
    """A device that is enrolled at a running fleet."""

    id: str
    fleet: Fleet
    registry: Registry
    config: IdentityConfig
    renewal: Renewal

    def valid(self) -> list[x509.Certificate]:
        return self.registry.valid_certificates(self.id, utc_now())


@pytest.fixture
def device(tmp_path: Path) -> Iterator[Device]:
    fleet = make_fleet(tmp_path / "fleet")
    registry = Registry(fleet.registry_url)
    with serving_est(fleet, registry) as url:
        config = IdentityConfig(root=fleet.directory / "root.pem", est=url, directory=tmp_path / "identity")
        identity = enroll(config, "pi-1", registry.claim("pi-1", "Porch", utc_now()).code, utc_now())
        yield Device(id=identity.device_id, fleet=fleet, registry=registry, config=config, renewal=Renewal(config))
    registry.close()


@pytest.mark.parametrize(
    ("jitter", "days"), [(0, 20), (1, 23), (-1, 17), (5, 23), (-5, 17)], ids=["middle", "late", "early", "cut", "cut"]
)
def test_a_certificate_is_renewed_at_two_thirds_of_its_life_give_or_take_a_tenth(
    tmp_path: Path, jitter: float, days: float
) -> None:
    leaf = issue_leaf(make_fleet(tmp_path / "fleet", now=NOW), Role.DEVICE, DEVICE, now=NOW).chain[0]
    assert abs(renew_at(leaf, jitter) - (NOW + timedelta(days=days))) < timedelta(minutes=6)


def test_a_device_that_was_never_enrolled_is_told_to_enrol(device: Device, tmp_path: Path) -> None:
    config = IdentityConfig(root=device.config.root, est=device.config.est, directory=tmp_path / "empty")
    with pytest.raises(EnrollmentError, match="camward enroll"):
        Renewal(config).current()
    assert Renewal(config).pending() is None


def test_the_credentials_are_the_key_the_chain_and_the_file_that_has_both(device: Device) -> None:
    current = device.renewal.current()
    assert current.device_id == device.id
    assert current.key.public_key() == current.leaf.public_key()
    assert current.chain == (current.leaf, device.fleet.authority_for(Role.DEVICE).certificate)
    assert current.path == device.config.directory / "operational.pem"


async def test_a_renewal_has_a_new_key_and_leaves_the_old_certificate_in_place(device: Device) -> None:
    old = device.renewal.current()
    new = await device.renewal.renew(utc_now())
    assert new.leaf.public_key() != old.leaf.public_key()
    assert new.path == device.config.directory / "operational.next.pem"
    pending = device.renewal.pending()
    assert pending is not None
    assert pending.chain == new.chain
    assert device.renewal.current().chain == old.chain
    assert device.valid() == [old.leaf, new.leaf]


async def test_a_renewal_that_waits_for_its_proof_is_not_asked_for_twice(device: Device) -> None:
    first = await device.renewal.renew(utc_now())
    assert (await Renewal(device.config).renew(utc_now())).chain == first.chain
    assert len(device.valid()) == 2


async def test_a_proven_certificate_takes_the_place_of_the_old_one(device: Device) -> None:
    new = await device.renewal.renew(utc_now())
    current = await device.renewal.promote()
    assert current.chain == device.renewal.current().chain == new.chain
    assert device.renewal.pending() is None
    device.registry.seen(new.leaf.serial_number, utc_now())
    assert device.valid() == [new.leaf]


async def test_a_certificate_that_the_broker_refuses_is_withdrawn_and_another_one_asked_for(device: Device) -> None:
    old, refused = device.renewal.current(), await device.renewal.renew(utc_now())
    for _ in range(2):
        await device.renewal.withdraw()
    assert device.renewal.pending() is None
    another = await device.renewal.renew(utc_now())
    assert another.leaf.public_key() != refused.leaf.public_key()
    assert device.valid() == [old.leaf, another.leaf]


async def test_a_pending_certificate_that_has_ended_is_replaced(device: Device) -> None:
    ended = issue_leaf(device.fleet, Role.DEVICE, device.id, now=utc_now() - timedelta(days=31))
    KeyStore(device.config.directory).write(Slot.NEXT, ended.key, ended.chain)
    assert (await device.renewal.renew(utc_now())).leaf == device.valid()[-1]


async def test_after_a_long_time_without_power_the_birth_certificate_gets_a_new_one(device: Device) -> None:
    long_ago = enrol(device.fleet, device.registry, "pi-2", now=utc_now() - timedelta(days=100))
    store = KeyStore(device.config.directory)
    store.write(Slot.BIRTH, long_ago.birth.key, long_ago.birth.chain)
    store.write(Slot.OPERATIONAL, long_ago.operational.key, long_ago.operational.chain)
    assert device.renewal.current().leaf.not_valid_after_utc < utc_now()
    new = await device.renewal.renew(utc_now())
    assert new.device_id == long_ago.id
    assert device.registry.valid_certificates(long_ago.id, utc_now()) == [new.leaf]


async def test_when_every_certificate_has_ended_only_a_code_helps(device: Device) -> None:
    (device.config.directory / "birth.pem").unlink()
    with pytest.raises(EnrollmentError, match="new code"):
        await device.renewal.renew(utc_now() + timedelta(days=31))


async def test_a_revoked_device_keeps_what_it_has_and_is_told_why(device: Device) -> None:
    old = device.renewal.current()
    device.registry.revoke(device.id, utc_now())
    with pytest.raises(Rejected, match="revoked") as caught:
        await device.renewal.renew(utc_now())
    assert not caught.value.temporary
    assert device.renewal.current().chain == old.chain


async def test_an_answer_that_was_lost_is_asked_for_again_with_the_same_key(device: Device) -> None:
    key = KeyStore(device.config.directory).new_key(Slot.NEXT).key
    assert (await device.renewal.renew(utc_now())).leaf.public_key() == key.public_key()


async def test_a_fleet_that_is_away_is_a_temporary_error(device: Device) -> None:
    away = IdentityConfig(root=device.config.root, est="https://127.0.0.1:1", directory=device.config.directory)
    with pytest.raises(Unreachable) as caught:
        await Renewal(away).renew(utc_now())
    assert caught.value.temporary


def test_a_certificate_that_names_no_device_is_one_clear_line(device: Device) -> None:
    server = issue_leaf(device.fleet, Role.SERVER, "fleet")
    KeyStore(device.config.directory).write(Slot.OPERATIONAL, server.key, server.chain)
    with pytest.raises(Damaged, match="enrol again"):
        device.renewal.current()

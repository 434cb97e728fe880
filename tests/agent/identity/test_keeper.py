"""The keeper renews in time, and lets go of the old certificate only when a connection has proven the new one."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from agent.config import IdentityConfig
from agent.identity import keeper as keeper_module
from agent.identity.clock import LastGood
from agent.identity.keeper import Keeper
from agent.identity.renewal import Renewal
from provisioning.registry import Registry
from provisioning.store import Fleet
from tests.kit.pki import enrol, make_fleet, serving_est, utc_now


@pytest.fixture
def fleet(tmp_path: Path) -> Fleet:
    return make_fleet(tmp_path / "fleet")


@pytest.fixture
def est(fleet: Fleet) -> Iterator[str]:
    with serving_est(fleet, Registry(fleet.registry_url)) as address:
        yield address


def identity(fleet: Fleet, est: str, tmp_path: Path, *, age: timedelta) -> IdentityConfig:
    """A device that was enrolled so long ago."""
    device = enrol(fleet, Registry(fleet.registry_url), "SN1", utc_now() - age)
    directory = tmp_path / "identity"
    directory.mkdir(mode=0o700)
    shutil.copy(device.birth.path, directory / "birth.pem")
    shutil.copy(device.operational.path, directory / "operational.pem")
    return IdentityConfig(root=fleet.directory / "root.pem", est=est, directory=directory)


def keeper(config: IdentityConfig) -> Keeper:
    return Keeper(Renewal(config), LastGood.of(config), jitter=0)


@contextlib.asynccontextmanager
async def kept(keeper: Keeper, reconnect: Callable[[], None]) -> AsyncIterator[asyncio.Event]:
    """Run the keeper; the event is set when it has renewed."""
    renewed = asyncio.Event()
    task = asyncio.create_task(keeper.run(reconnect=reconnect, renewed=renewed.set))
    yield renewed
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_a_certificate_past_two_thirds_of_its_life_is_renewed_with_a_new_key(
    fleet: Fleet, est: str, tmp_path: Path
) -> None:
    device = keeper(identity(fleet, est, tmp_path, age=timedelta(days=21)))
    old = device.current

    async with kept(device, reconnect=device.connected) as renewed:
        await asyncio.wait_for(renewed.wait(), 10)

    assert device.current.device_id == old.device_id
    assert device.current.leaf.not_valid_after_utc > old.leaf.not_valid_after_utc
    assert device.current.leaf.public_key() != old.leaf.public_key()
    assert Renewal(device._renewal._config).current().leaf == device.current.leaf


async def test_until_a_connection_has_proven_it_the_old_certificate_signs(
    fleet: Fleet, est: str, tmp_path: Path
) -> None:
    device = keeper(identity(fleet, est, tmp_path, age=timedelta(days=21)))
    old, asked = device.current, asyncio.Event()

    async with kept(device, reconnect=asked.set):
        await asyncio.wait_for(asked.wait(), 10)

        assert device.current is old
        assert device.presented != old.path


async def test_a_certificate_that_no_connection_proves_is_given_up_and_the_old_one_stays(
    fleet: Fleet, est: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(keeper_module, "_PROOF_S", 0.2)
    device = keeper(identity(fleet, est, tmp_path, age=timedelta(days=21)))
    old, asked = device.current, asyncio.Queue[None]()

    async with kept(device, reconnect=lambda: asked.put_nowait(None)):
        await asyncio.wait_for(asked.get(), 10)  # for the proof
        await asyncio.wait_for(asked.get(), 10)  # back to the old one

    assert device.current is old
    assert device.presented == old.path
    assert "the old one stays" in caplog.text


async def test_a_renewal_that_was_cut_off_is_proven_at_the_next_start(fleet: Fleet, est: str, tmp_path: Path) -> None:
    config = identity(fleet, est, tmp_path, age=timedelta(days=21))
    pending = await Renewal(config).renew(utc_now())

    device = keeper(config)
    assert device.presented == pending.path
    async with kept(device, reconnect=lambda: None) as renewed:
        device.connected()
        await asyncio.wait_for(renewed.wait(), 10)

    assert device.current.leaf == pending.leaf


async def test_a_fleet_that_does_not_answer_is_asked_again(
    fleet: Fleet, est: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, unused_tcp_port: int
) -> None:
    monkeypatch.setattr(keeper_module, "_RETRY_S", 0.1)
    device = keeper(identity(fleet, f"https://127.0.0.1:{unused_tcp_port}", tmp_path, age=timedelta(days=21)))

    async with kept(device, reconnect=device.connected) as renewed:
        await asyncio.sleep(0.5)
        assert not renewed.is_set()
        config = device._renewal._config
        device._renewal._config = IdentityConfig(root=config.root, est=est, directory=config.directory)
        await asyncio.wait_for(renewed.wait(), 10)


async def test_a_young_certificate_is_left_alone(fleet: Fleet, est: str, tmp_path: Path) -> None:
    device = keeper(identity(fleet, est, tmp_path, age=timedelta(days=1)))

    async with kept(device, reconnect=device.connected) as renewed:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(renewed.wait(), 0.5)


async def test_a_connection_that_stood_is_a_time_to_remember(fleet: Fleet, est: str, tmp_path: Path) -> None:
    config = identity(fleet, est, tmp_path, age=timedelta(days=1))
    assert LastGood.of(config).read() is None

    keeper(config).connected()

    last_good = LastGood.of(config).read()
    assert last_good is not None
    assert abs(utc_now() - last_good) < timedelta(seconds=10)

"""Kill -9 at every step of an enrolment and of a renewal: the next try ends well, and nothing is issued twice."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from agent.config import IdentityConfig
from agent.identity.enroll import enroll
from agent.identity.renewal import Renewal
from protocol.names import Role
from provisioning.registry import Registry
from provisioning.store import Fleet
from tests.kit.killed import renew, run_and_die_at, watching
from tests.kit.pki import make_fleet, serving_est, utc_now


@pytest.fixture
def fleet(tmp_path: Path) -> Fleet:
    return make_fleet(tmp_path / "fleet")


@pytest.fixture
def registry(fleet: Fleet) -> Iterator[Registry]:
    registry = Registry(fleet.registry_url)
    yield registry
    registry.close()


@pytest.fixture
def est(fleet: Fleet, registry: Registry) -> Iterator[str]:
    with serving_est(fleet, registry) as url:
        yield url


def _config(fleet: Fleet, est: str, directory: Path) -> IdentityConfig:
    return IdentityConfig(root=fleet.directory / "root.pem", est=est, directory=directory)


def test_an_enrolment_that_is_killed_at_any_step_ends_well_on_the_next_try(
    fleet: Fleet, registry: Registry, est: str, tmp_path: Path
) -> None:
    step, killed = 0, True
    while killed:
        step += 1
        serial, config = f"pi-{step}", _config(fleet, est, tmp_path / f"identity-{step}")
        code = registry.claim(serial, serial, utc_now()).code
        killed = run_and_die_at(step, enroll, config, serial, code, utc_now())
        identity = enroll(config, serial, code, utc_now())
        assert registry.valid_certificates(identity.device_id, utc_now(), Role.BIRTH) == [identity.birth]
        assert registry.valid_certificates(identity.device_id, utc_now()) == [identity.operational]
        assert {path.name for path in config.directory.iterdir()} == {"birth.pem", "operational.pem"}
    assert step > 40
    events = [event.kind for event in registry.events_after(0)]
    assert {kind: events.count(kind) for kind in set(events)} == {"claimed": step, "enrolled": step, "certified": step}


def test_a_renewal_that_is_killed_at_any_step_leaves_the_old_certificate_and_ends_well_on_the_next_try(
    fleet: Fleet, registry: Registry, est: str, tmp_path: Path
) -> None:
    step, killed = 0, True
    while killed:
        step += 1
        serial, config = f"pi-{step}", _config(fleet, est, tmp_path / f"identity-{step}")
        identity = enroll(config, serial, registry.claim(serial, serial, utc_now()).code, utc_now())
        killed = run_and_die_at(step, renew, config)
        renewal = Renewal(config)
        assert renewal.current().leaf == identity.operational
        pending = asyncio.run(renewal.renew(utc_now()))
        valid = registry.valid_certificates(identity.device_id, utc_now())
        assert valid == [identity.operational, pending.leaf]
    assert step > 15


def test_every_key_is_on_the_disk_before_its_request_leaves(
    fleet: Fleet, registry: Registry, est: str, tmp_path: Path
) -> None:
    config = _config(fleet, est, tmp_path / "identity")
    code = registry.claim("pi-1", "Porch", utc_now()).code
    dirty: set[object] = set()
    renames = 0

    def watch(name: str, given: tuple[Any, ...]) -> None:
        nonlocal renames
        if name == "write":
            dirty.add(given[0])
        elif name == "fsync":
            dirty.discard(given[0])
            if Path(f"/proc/self/fd/{given[0]}").readlink() == config.directory:
                dirty.discard("names")
        elif name == "replace":
            assert not dirty
            dirty.add("names")
            renames += 1
        elif name == "request":
            assert not dirty

    with watching(watch):
        enroll(config, "pi-1", code, utc_now())
    assert not dirty
    assert renames == 4

"""The registry in several processes at once."""

from __future__ import annotations

import multiprocessing
from datetime import UTC, datetime
from multiprocessing.synchronize import Barrier
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes

from protocol.names import Issuer, Role
from provisioning import ca
from provisioning.errors import ClaimRefused
from provisioning.registry import Registry
from tests.kit.pki import new_key

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
BIRTH = ca.make_issuer(Issuer.BIRTH, ca.make_root(NOW), NOW)


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'registry.sqlite'}"


def _race(url: str, code: str, barrier: Barrier, won: multiprocessing.SimpleQueue[bytes | None]) -> None:
    key, registry = new_key().public_key(), Registry(url)

    def sign(device: str) -> x509.Certificate:
        return ca.sign(key, role=Role.BIRTH, name=device, issuer=BIRTH, now=NOW)

    barrier.wait()
    try:
        won.put(registry.redeem(code, "pi-1", key, NOW, sign).fingerprint(hashes.SHA256()))
    except ClaimRefused:
        won.put(None)


def test_of_processes_that_redeem_one_code_at_once_exactly_one_wins(url: str) -> None:
    registry, fork = Registry(url), multiprocessing.get_context("fork")
    racers = 4
    for _ in range(3):
        claim = registry.claim("pi-1", "Porch", NOW)
        registry.close()
        barrier, won = fork.Barrier(racers), fork.SimpleQueue()
        processes = [fork.Process(target=_race, args=(url, claim.code, barrier, won)) for _ in range(racers)]
        for process in processes:
            process.start()
        outcomes = [won.get() for _ in processes]
        for process in processes:
            process.join()
        (valid,) = registry.valid_certificates(claim.device, NOW, Role.BIRTH)
        assert [outcome for outcome in outcomes if outcome] == [valid.fingerprint(hashes.SHA256())]
    assert [event.kind for event in registry.events_after(0)].count("alarm") == 3 * (racers - 1)
    registry.close()


def _open(url: str, barrier: Barrier, opened: multiprocessing.SimpleQueue[str]) -> None:
    barrier.wait()
    try:
        Registry(url).devices()
    except Exception as error:  # noqa: BLE001  # whatever it is, the parent is to see it
        opened.put(repr(error))
    else:
        opened.put("")


def test_processes_that_make_the_registry_at_once_do_not_disturb_each_other(url: str) -> None:
    fork, openers = multiprocessing.get_context("fork"), 6
    barrier, opened = fork.Barrier(openers), fork.SimpleQueue()
    processes = [fork.Process(target=_open, args=(url, barrier, opened)) for _ in range(openers)]
    for process in processes:
        process.start()
    assert [opened.get() for _ in processes] == [""] * openers
    for process in processes:
        process.join()

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from agent.identity.errors import Damaged, EnrollmentError
from agent.identity.store import KeyStore, Slot
from protocol.names import Role
from tests.kit.pki import DEVICE, issue_leaf, make_fleet, new_key


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return tmp_path / "identity"


@pytest.fixture
def store(directory: Path) -> KeyStore:
    store = KeyStore(directory)
    with store.exclusive():
        return store


def test_a_new_store_is_empty_and_closed_to_others(store: KeyStore, directory: Path) -> None:
    assert stat.S_IMODE(directory.stat().st_mode) == 0o700
    assert [store.read(slot) for slot in Slot] == [None, None, None]


def test_a_key_without_an_answer_is_kept(store: KeyStore, directory: Path) -> None:
    made = store.new_key(Slot.BIRTH)
    kept = store.read(Slot.BIRTH)
    assert kept is not None
    assert kept.chain == ()
    assert kept.key.private_numbers() == made.key.private_numbers()
    assert stat.S_IMODE((directory / "birth.pem").stat().st_mode) == 0o600


def test_a_key_and_its_chain_are_one_file(store: KeyStore, tmp_path: Path) -> None:
    leaf = issue_leaf(make_fleet(tmp_path / "fleet"), Role.DEVICE, DEVICE)
    store.write(Slot.OPERATIONAL, leaf.key, leaf.chain)
    kept = store.read(Slot.OPERATIONAL)
    assert kept is not None
    assert kept.chain == leaf.chain


def test_promoting_swaps_key_and_certificate_at_once(store: KeyStore, tmp_path: Path) -> None:
    fleet = make_fleet(tmp_path / "fleet")
    old, new = (issue_leaf(fleet, Role.DEVICE, DEVICE) for _ in range(2))
    store.write(Slot.OPERATIONAL, old.key, old.chain)
    store.write(Slot.NEXT, new.key, new.chain)
    store.promote()
    kept = store.read(Slot.OPERATIONAL)
    assert kept is not None
    assert kept.chain == new.chain
    assert store.read(Slot.NEXT) is None


@pytest.mark.parametrize(
    "content", [b"", b"nothing", b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"]
)
def test_a_damaged_file_is_one_line_that_says_what_to_do(store: KeyStore, directory: Path, content: bytes) -> None:
    (directory / "birth.pem").write_bytes(content)
    with pytest.raises(Damaged, match="remove it and enrol again") as caught:
        store.read(Slot.BIRTH)
    assert "\n" not in str(caught.value)


def test_a_certificate_for_another_key_is_found_out(store: KeyStore, tmp_path: Path) -> None:
    leaf = issue_leaf(make_fleet(tmp_path / "fleet"), Role.DEVICE, DEVICE)
    store.write(Slot.OPERATIONAL, new_key(), leaf.chain)
    with pytest.raises(Damaged):
        store.read(Slot.OPERATIONAL)


def test_two_enrolments_at_once_do_not_mix(store: KeyStore, directory: Path) -> None:
    with store.exclusive(), pytest.raises(EnrollmentError, match="in use"), KeyStore(directory).exclusive():
        raise AssertionError("two held the store at once")
    with KeyStore(directory).exclusive():
        assert store.read(Slot.BIRTH) is None


def test_a_directory_that_cannot_be_made_is_one_clear_line(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(EnrollmentError, match="cannot be used"), KeyStore(tmp_path / "file" / "identity").exclusive():
        raise AssertionError("there was no directory")

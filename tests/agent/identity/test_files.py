from __future__ import annotations

import stat
from pathlib import Path

import pytest

from agent.identity import files


def test_a_file_is_replaced_whole_and_only_its_owner_reads_it(tmp_path: Path) -> None:
    path = tmp_path / "key.pem"
    path.write_bytes(b"old")
    path.chmod(0o644)
    files.write_atomic(path, b"new")
    assert path.read_bytes() == b"new"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert list(tmp_path.iterdir()) == [path]


def test_what_a_crash_left_behind_does_not_stand_in_the_way(tmp_path: Path) -> None:
    left = tmp_path / ".key.pem.new"
    left.write_bytes(b"half of something longer than what comes now")
    left.chmod(0o400)
    files.write_atomic(tmp_path / "key.pem", b"new")
    assert (tmp_path / "key.pem").read_bytes() == b"new"
    assert not left.exists()


def test_a_link_laid_in_the_way_is_not_followed(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_bytes(b"precious")
    (tmp_path / ".key.pem.new").symlink_to(victim)
    with pytest.raises(OSError, match=r"symbolic link|loop|Too many levels"):
        files.write_atomic(tmp_path / "key.pem", b"new")
    assert victim.read_bytes() == b"precious"


def test_removing_what_is_not_there_is_harmless(tmp_path: Path) -> None:
    path = tmp_path / "key.pem"
    path.write_bytes(b"old")
    for _ in range(2):
        files.remove(path)
    assert list(tmp_path.iterdir()) == []

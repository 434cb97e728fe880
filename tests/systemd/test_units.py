"""The unit files under the systemd of this machine, in a root of their own."""

import dataclasses
import shutil
import subprocess
from pathlib import Path

import pytest

from agent.config import IdentityConfig
from agent.identity.store import Slot

UNITS = Path(__file__).parents[2] / "systemd"
SERVICES = ["camward.service", "camward-enroll.service"]


@pytest.fixture
def board(tmp_path: Path) -> Path:
    """A root directory with our units, systemd's own targets, and a command where the units look for it."""
    own, vendor = tmp_path / "etc/systemd/system", tmp_path / "usr/lib/systemd/system"
    for directory in (own, vendor, tmp_path / "opt/camward/venv/bin"):
        directory.mkdir(parents=True)
    for unit in SERVICES:
        shutil.copy(UNITS / unit, own)
    for target in Path("/lib/systemd/system").glob("*.target"):
        shutil.copy(target, vendor, follow_symlinks=False)
    shutil.copy("/bin/true", tmp_path / "opt/camward/venv/bin/camward")
    return tmp_path


def run(*command: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, text=True, timeout=30)


def setting(unit: str, name: str) -> list[str]:
    lines = (UNITS / unit).read_text(encoding="utf-8").splitlines()
    return [line.partition("=")[2] for line in lines if line.startswith(f"{name}=")]


@pytest.mark.parametrize("unit", SERVICES)
def test_systemd_has_nothing_to_say_about_a_unit(board: Path, unit: str) -> None:
    verified = run("systemd-analyze", "verify", "--man=no", f"--root={board}", unit)
    assert (verified.returncode, verified.stdout, verified.stderr) == (0, "", "")


def test_a_unit_with_a_wrong_key_or_a_missing_command_would_be_noticed(board: Path) -> None:
    with (board / "etc/systemd/system/camward.service").open("a") as unit:
        unit.write("NoSuchKey=1\n")
    (board / "opt/camward/venv/bin/camward").unlink()
    said = run("systemd-analyze", "verify", "--man=no", f"--root={board}", "camward.service").stderr
    assert "Unknown key 'NoSuchKey'" in said
    assert "Command /opt/camward/venv/bin/camward is not executable" in said


@pytest.mark.parametrize("unit", SERVICES)
def test_the_exposure_is_two_at_most(unit: str) -> None:
    scored = run("systemd-analyze", "security", "--offline=true", "--threshold=20", UNITS / unit)
    assert scored.returncode == 0, scored.stdout
    assert scored.stderr == ""


@pytest.mark.parametrize("unit", SERVICES)
def test_a_forbidden_system_call_is_an_error_for_the_caller_and_not_its_death(unit: str) -> None:
    assert setting(unit, "SystemCallFilter")
    assert setting(unit, "SystemCallErrorNumber") == ["EPERM"]


@pytest.mark.parametrize("unit", SERVICES)
def test_memory_never_reaches_a_core_dump(unit: str) -> None:
    assert setting(unit, "LimitCORE") == ["0"]


def test_a_board_that_has_its_operational_certificate_does_not_enrol_again() -> None:
    directory = next(field.default for field in dataclasses.fields(IdentityConfig) if field.name == "directory")
    certificate = f"!{directory}/{Slot.OPERATIONAL}"
    assert certificate in setting("camward-enroll.service", "ConditionPathExists")


def test_sysusers_makes_the_user_and_the_groups_that_own_cameras_and_pins(tmp_path: Path) -> None:
    (tmp_path / "etc").mkdir()
    made = run("systemd-sysusers", f"--root={tmp_path}", UNITS / "camward.sysusers")
    assert made.returncode == 0, made.stderr
    groups = dict(groups_and_members(tmp_path / "etc/group"))
    assert {name for name, members in groups.items() if "camward" in members} == {"video", "render", "gpio"}
    [user] = (tmp_path / "etc/passwd").read_text().splitlines()
    assert user.startswith("camward:")
    assert user.endswith(":/var/lib/camward:/usr/sbin/nologin")
    [account] = {account for unit in SERVICES for account in setting(unit, "User") + setting(unit, "Group")}
    assert account == "camward"


def test_devices_and_directories_belong_to_users_and_groups_that_exist(tmp_path: Path) -> None:
    (tmp_path / "etc").mkdir()
    run("systemd-sysusers", f"--root={tmp_path}", UNITS / "camward.sysusers")
    groups = dict(groups_and_members(tmp_path / "etc/group"))
    rules = (UNITS / "70-camward.rules").read_text(encoding="utf-8")
    assert {part.split('"')[1] for part in rules.split() if part.startswith("GROUP=")} <= set(groups)
    directories = (UNITS / "camward.tmpfiles").read_text(encoding="utf-8").splitlines()
    for line in (line for line in directories if not line.startswith("#")):
        kind, path, mode, user, group, _ = line.split()
        assert (kind, mode, user == group) == ("d", "0700", True), path
        assert user in {"root", "camward"}


def groups_and_members(path: Path) -> list[tuple[str, list[str]]]:
    entries = [line.split(":") for line in path.read_text(encoding="utf-8").splitlines()]
    return [(name, members.split(",")) for name, _, _, members in entries]


def test_the_folder_of_units_never_becomes_a_package() -> None:
    assert not list(UNITS.rglob("*.py"))

"""requirements/: what each role installs, to the byte. `make lock` writes them anew."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
EXTRAS = {"device": ["device", "board"], "fleet": ["fleet"], "view": ["view"]}
ROLES = sorted(EXTRAS)


def _text(role: str) -> str:
    return (ROOT / "requirements" / f"{role}.txt").read_text(encoding="utf-8")


def _locked(role: str) -> dict[str, tuple[str, int]]:
    """Each package's version, and how many hashes it has."""
    entries = re.findall(r"^(\S+)==(\S+)((?: \\\n    --hash=sha256:[0-9a-f]{64})+)$", _text(role), re.MULTILINE)
    return {canonicalize_name(name): (version, hashes.count("sha256:")) for name, version, hashes in entries}


@pytest.mark.parametrize("role", ROLES)
def test_every_line_is_a_version_with_hashes_and_names_no_place_to_get_it_from(role: str) -> None:
    lines = [line for line in _text(role).splitlines() if line and not line.lstrip().startswith("#")]

    assert lines
    assert all(re.fullmatch(r"[a-z0-9.-]+==\S+ \\|    --hash=sha256:[0-9a-f]{64}(?: \\)?", line) for line in lines)
    assert "://" not in _text(role)
    assert len(_locked(role)) == sum("==" in line for line in lines)


@pytest.mark.parametrize("role", ROLES)
def test_all_that_pyproject_asks_for_is_locked_as_it_asks(role: str) -> None:
    optional = PROJECT["optional-dependencies"]
    asked = [*PROJECT["dependencies"], *(entry for extra in EXTRAS[role] for entry in optional[extra])]

    locked = _locked(role)
    for requirement in map(Requirement, asked):
        version, _ = locked[canonicalize_name(requirement.name)]
        assert version in requirement.specifier, f"{requirement} is locked as {version}: make lock"


@pytest.mark.parametrize(("role", "name"), [("device", "av"), ("device", "cryptography"), ("fleet", "aiohttp")])
def test_a_compiled_package_has_the_hashes_of_its_files_for_every_board_and_python(role: str, name: str) -> None:
    _, hashes = _locked(role)[name]

    assert hashes >= 8  # one file each for two Pythons, two processors and more


def test_a_package_of_two_roles_has_one_version() -> None:
    versions: dict[str, set[str]] = {}
    for role in ROLES:
        for name, (version, _) in _locked(role).items():
            versions.setdefault(name, set()).add(version)

    assert {name: each for name, each in versions.items() if len(each) > 1} == {}

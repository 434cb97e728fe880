"""What `make wheel` has made is compiled, every module of it, and this is what `make compiled` runs the tests on."""

from __future__ import annotations

import dataclasses
import importlib
import json
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from agent.media.access_unit import AccessUnit
from agent.media.annexb import AvcConfig
from agent.webrtc.guard import Drops

pytestmark = pytest.mark.compiled

ROOT = Path(__file__).parents[2]
_TARGET = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["hatch"]["build"]["targets"]["wheel"]
_PATTERNS = _TARGET["hooks"]["custom"]["compiled"]
_MODULES = [
    ".".join(path.relative_to(ROOT).with_suffix("").parts) for pattern in _PATTERNS for path in ROOT.glob(pattern)
]


@pytest.mark.parametrize("pattern", _PATTERNS)
def test_every_entry_of_the_list_names_something(pattern: str) -> None:
    assert list(ROOT.glob(pattern))


@pytest.mark.parametrize("module", [*_MODULES, "agent.webrtc._wire"])
def test_every_module_of_the_list_is_compiled(module: str) -> None:
    file = importlib.import_module(module).__file__

    assert file is not None
    assert file.endswith(".so")


def test_what_a_test_starts_as_a_process_is_compiled_too() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "camward", "probe", "--quick", "--json"],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
    )

    assert json.loads(done.stdout)["facts"]["board"]["hot_path"] == "compiled"


def test_the_working_tree_is_left_as_it_was() -> None:
    assert [path for package in _TARGET["packages"] for path in (ROOT / package).rglob("*.so")] == []


def test_what_is_frozen_stays_frozen_and_what_has_slots_takes_nothing_else() -> None:
    config, drops = AvcConfig(length_bytes=4, parameter_sets=(b"",)), Drops()
    unit = AccessUnit(units=(b"",), pts_us=1, keyframe=True)

    with pytest.raises(dataclasses.FrozenInstanceError):
        config.length_bytes = 2  # type: ignore[misc]
    with pytest.raises(AttributeError):
        unit.pts_us = 2  # type: ignore[misc]
    with pytest.raises(AttributeError):
        drops.unheard_of = 1  # type: ignore[attr-defined]
    assert dataclasses.replace(config, length_bytes=2) == AvcConfig(length_bytes=2, parameter_sets=(b"",))
    assert len({config, dataclasses.replace(config)}) == 1


def test_what_is_of_another_type_than_it_says_is_refused_where_it_comes_in() -> None:
    with pytest.raises(TypeError, match="tuple object expected"):
        AccessUnit(units=[b""], pts_us=1, keyframe=True)  # type: ignore[arg-type]

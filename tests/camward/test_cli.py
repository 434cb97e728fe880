"""The front door."""

from __future__ import annotations

import importlib.metadata
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from camward import __version__
from camward.cli import COMMANDS, main

ROOMS = {"agent", "provisioning", "viewer", "protocol"}
HEAVY = {"av", "aiohttp", "aiortc", "aiomqtt", "amqtt", "sqlalchemy", "cryptography", "joserfc", "argparse"}


def camward(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "camward", *arguments], capture_output=True, text=True, timeout=30, check=False
    )


@pytest.mark.parametrize("argument", ["--help", "--version"])
def test_help_and_version_load_no_room_and_nothing_heavy(argument: str) -> None:
    code = (
        "import sys, json\nfrom camward.cli import main\n"
        f"assert main([{argument!r}]) == 0\n"
        "print(json.dumps(sorted({name.partition('.')[0] for name in sys.modules})), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=30, check=True)
    loaded = set(json.loads(done.stderr.splitlines()[-1]))
    assert not loaded & (ROOMS | HEAVY)


def test_help_names_every_command_and_gives_examples() -> None:
    done = camward("--help")
    assert done.returncode == 0
    assert all(f"  {name} " in done.stdout for name in COMMANDS)
    assert "examples:" in done.stdout


def test_the_version_is_the_package_s() -> None:
    assert camward("--version").stdout == f"camward {__version__}\n"
    assert importlib.metadata.version("camward") == __version__


def test_without_a_command_the_help_is_shown_as_an_error() -> None:
    done = camward()
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("usage: camward COMMAND")


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ("enrol", "did you mean `camward enroll`?"),
        ("fleets", "did you mean `camward fleet`?"),
        ("xyzzy", "`camward --help` lists them"),
        ("--frob", "is not an option here"),
    ],
)
def test_an_unknown_command_names_the_nearest(wrong: str, said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([wrong]) == 2
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1


def test_a_missing_package_is_one_line_that_names_the_extra(tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(
        "import sys\nfor name in ('sqlalchemy', 'aiohttp', 'amqtt', 'aiomqtt'): sys.modules[name] = None\n"
    )
    done = subprocess.run(
        [sys.executable, "-m", "camward", "fleet", "devices", "--dir", str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
        env={"PYTHONPATH": str(tmp_path), "PATH": ""},
    )
    assert done.returncode == 1
    assert "pip install '.[fleet]'" in done.stderr
    assert done.stderr.count("\n") == 1


def test_an_interrupted_command_ends_with_130(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(_: list[str]) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr("provisioning.cli.fleet", interrupted)
    assert main(["fleet", "devices"]) == 130


def test_a_reader_that_leaves_early_is_no_traceback() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing) as closed:
        command = [sys.executable, "-m", "camward", "--help"]
        done = subprocess.run(command, stdout=closed, stderr=subprocess.PIPE, text=True, timeout=30, check=False)
    assert done.returncode == 1
    assert done.stderr == ""


def test_every_command_in_the_table_exists() -> None:
    missing = [entry.module for entry in COMMANDS.values() if not Path(entry.module.replace(".", "/") + ".py").exists()]
    assert missing == []

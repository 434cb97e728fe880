"""The device's commands: what a person sees when something is missing."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from agent import cli
from tests.kit.brokers import make_fleet


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    root = make_fleet(tmp_path / "fleet").directory / "root.pem"
    monkeypatch.setattr("agent.service.log.set_up", lambda config: None)  # the tests' own logging stays
    path = tmp_path / "agent.toml"
    path.write_text(
        f'[identity]\nroot = "{root}"\nest = "https://localhost:1"\ndirectory = "{tmp_path / "identity"}"\n'
        '[broker]\nhost = "localhost"\n'
    )
    return path


def test_a_code_that_is_no_text_is_one_line_without_the_code(
    config: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"s3cret\xff\n"), encoding="utf-8"))

    assert cli.enroll(["--config", str(config), "--serial", "SN1"]) == cli.USAGE

    said = capsys.readouterr().err
    assert said == "camward: the one-time code on standard input is not plain text\n"


def test_without_standard_input_the_fleet_is_asked_all_the_same(
    config: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.stdin", None)

    assert cli.enroll(["--config", str(config), "--serial", "SN1"]) == cli.FAULT
    assert "is the fleet service up?" in capsys.readouterr().err


def test_a_prompt_that_is_answered_with_the_end_of_input_is_one_line(
    config: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def closed(prompt: str) -> str:
        raise EOFError

    monkeypatch.setattr("sys.stdin.isatty", lambda: True)
    monkeypatch.setattr("getpass.getpass", closed)

    assert cli.enroll(["--config", str(config), "--serial", "SN1"]) == cli.USAGE
    assert capsys.readouterr().err == "camward: no one-time code was given\n"

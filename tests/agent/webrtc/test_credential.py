"""What a TURN server is shown comes from a file, and nothing of the file comes into a message."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from agent.webrtc.credential import credential
from protocol.ice import Credential, short_lived


def _file(directory: Path, text: str) -> Path:
    path = directory / "turn.toml"
    path.write_text(text)
    return path


def test_a_name_and_a_password_are_shown_as_they_stand(tmp_path: Path) -> None:
    path = _file(tmp_path, 'username = "anna"\npassword = "swordfish"')

    assert credential(path) == Credential(username="anna", password="swordfish")


def test_of_a_secret_a_credential_for_ten_minutes_is_made(tmp_path: Path) -> None:
    before_s = int(time.time())

    made = credential(_file(tmp_path, 'secret = "swordfish"'))

    until_s, name = made.username.split(":")
    assert before_s + 600 <= int(until_s) <= time.time() + 600
    assert made == short_lived("swordfish", name=name, until_s=int(until_s))


@pytest.mark.parametrize(
    "text",
    [
        "swordfish",
        'password = "swordfish"',
        'secret = ""\npassword = "swordfish"',
        'secret = "swordfish"\nusername = "anna"',
        'username = "anna"\npassword = ["swordfish"]',
        'username = "anna"\npassword = "swordfish"\nport = 7',
        'username = "anna"\npassword = "swordfish',
    ],
)
def test_a_file_of_another_form_is_refused_and_not_quoted(tmp_path: Path, text: str) -> None:
    with pytest.raises(ValueError, match=r"turn\.toml") as refusal:
        credential(_file(tmp_path, text))

    assert "swordfish" not in str(refusal.value)
    assert refusal.value.__cause__ is None


def test_a_file_that_is_not_there_is_an_error_of_the_file(tmp_path: Path) -> None:
    with pytest.raises(OSError, match=r"turn\.toml"):
        credential(tmp_path / "turn.toml")

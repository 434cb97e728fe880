from pathlib import Path

import pytest

from agent.service.credentials import CredentialError, read_credential


@pytest.fixture
def directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    return tmp_path


def test_a_credential_is_read_without_its_final_newline(directory: Path) -> None:
    (directory / "claim").write_text("k7f3-93hd\n")
    assert read_credential("claim") == "k7f3-93hd"


def test_a_credential_that_systemd_did_not_find_is_none(directory: Path) -> None:
    assert read_credential("claim") is None


def test_without_systemd_there_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CREDENTIALS_DIRECTORY", raising=False)
    assert read_credential("claim") is None


@pytest.mark.parametrize(("content", "said"), [(b"\xffk7f3", "is not plain text"), (b" \n", "is empty")])
def test_an_unusable_credential_is_named_and_never_quoted(directory: Path, content: bytes, said: str) -> None:
    (directory / "claim").write_bytes(content)
    with pytest.raises(CredentialError, match=said) as caught:
        read_credential("claim")
    assert "k7f3" not in repr(caught.getrepr(style="native"))


def test_a_credential_that_cannot_be_read_says_why(directory: Path) -> None:
    (directory / "claim").mkdir()
    with pytest.raises(CredentialError, match="the credential claim cannot be read: Is a directory"):
        read_credential("claim")

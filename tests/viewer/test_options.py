"""The command line: what is wrong is said in one sentence, before anybody is called."""

from __future__ import annotations

from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from protocol.names import Role
from tests.kit.caller import Signer
from tests.viewer.conftest import DEVICE, Trust
from viewer import options
from viewer.errors import Usage


def credentials(path: Path, signer: Signer) -> Path:
    key = signer.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    path.write_bytes(key + b"".join(entry.public_bytes(Encoding.PEM) for entry in signer.chain))
    return path


@pytest.fixture
def files(tmp_path: Path, trust: Trust, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with root.pem, door.pem of an app and gateway.pem of a service; the current one."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "root.pem").write_bytes(trust.tree.root.public_bytes(Encoding.PEM))
    credentials(tmp_path / "door.pem", trust.tree.leaf(Role.APP, "door"))
    credentials(tmp_path / "gateway.pem", trust.tree.leaf(Role.SERVICE, "gateway"))
    return tmp_path


def line(**changes: str | None) -> list[str]:
    """A command line that is right, but for `changes`; None leaves an option out."""
    given: dict[str, str | None] = {"device": DEVICE, "fleet": "https://camera.example:8443", "root": "root.pem"}
    given |= {name.replace("_", "-"): value for name, value in changes.items()}
    return [word for name, value in given.items() if value is not None for word in (f"--{name}", value)]


@pytest.mark.usefixtures("files")
def test_an_app_is_known_by_its_certificate() -> None:
    read = options.read(line(app="door.pem", broker="camera.example"))

    assert read.app is not None
    assert (read.app.name, read.app.host, read.app.port) == ("door", "camera.example", 8883)


@pytest.mark.usefixtures("files")
@pytest.mark.parametrize(
    ("broker", "expected"),
    [
        ("camera.example:1883", ("camera.example", 1883)),
        ("[::1]:1883", ("::1", 1883)),
        ("10.0.0.2", ("10.0.0.2", 8883)),
    ],
)
def test_a_broker_is_named_by_host_and_port(broker: str, expected: tuple[str, int]) -> None:
    read = options.read(line(app="door.pem", broker=broker))

    assert read.app is not None
    assert (read.app.host, read.app.port) == expected


@pytest.mark.usefixtures("files")
@pytest.mark.parametrize("fleet", ["http://localhost:8080", "http://127.0.0.1:8080/", "http://[::1]:8080"])
def test_plain_http_is_good_enough_on_this_machine(fleet: str) -> None:
    assert options.read(line(fleet=fleet)).fleet.scheme == "http"


@pytest.mark.usefixtures("files")
@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"device": "front-door"}, "--device: a device id is 26 characters"),
        ({"fleet": "http://camera.example"}, "plain http only on localhost"),
        ({"fleet": "camera.example"}, "--fleet is an address such as"),
        ({"fleet": "https://camera.example/page"}, "--fleet is an address such as"),
        ({"fleet": "ftp://camera.example"}, "--fleet is an address such as"),
        ({"root": "nowhere.pem"}, "root.pem of the fleet's directory"),
        ({"app": "door.pem"}, "--app and --broker go together"),
        ({"broker": "camera.example"}, "--app and --broker go together"),
        ({"app": "door.pem", "broker": "camera.example", "code_file": "code"}, "no sign-in code"),
        ({"app": "door.pem", "broker": "camera.example", "fleet": "http://localhost"}, "--fleet with https"),
        ({"app": "gateway.pem", "broker": "camera.example"}, "of the role service, not of an app"),
        ({"app": "root.pem", "broker": "camera.example"}, "no certificate of an app"),
        ({"app": "door.pem", "broker": "camera.example:door"}, "--broker is HOST or HOST:PORT"),
        ({"seconds": "0"}, "--seconds is a number above 0"),
        ({"seconds": "nan"}, "--seconds is a number above 0"),
        ({"record": "out.avi"}, "ends in none of these"),
        ({"record": "door.pem/out.mp4"}, "is not a folder"),
    ],
)
def test_what_is_wrong_is_named(wrong: dict[str, str], words: str) -> None:
    with pytest.raises(Usage, match=words):
        options.read(line(**wrong))


@pytest.mark.parametrize("missing", ["device", "fleet", "root"])
def test_what_is_missing_is_named(missing: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        options.read(line(**{missing: None}))

    assert end.value.code == 2
    assert f"--{missing}" in capsys.readouterr().err


def test_help_tells_every_exit_code(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        options.read(["--help"])

    assert end.value.code == 0
    shown = capsys.readouterr().out
    assert all(f"\n  {code} " in shown for code in (0, 1, 2, 3, 4, 5, 130))

"""The fleet's commands, as a person and as a script uses them."""

from __future__ import annotations

import json
import os
import pty
import re
import select
import signal
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from camward.cli import main
from provisioning.commands import clock_line
from provisioning.people import People
from provisioning.registry import Registry
from provisioning.store import load
from tests.kit.brokers import free_port
from tests.kit.pki import enrol

Camward = Callable[..., tuple[int, str, str]]


@pytest.fixture
def camward(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Camward:
    def call(*arguments: str) -> tuple[int, str, str]:
        try:
            code = main(["fleet", *arguments, "--dir", str(tmp_path / "fleet")])
        except SystemExit as ended:
            code = int(ended.code or 0)
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return call


@pytest.fixture
def fleet(camward: Camward, tmp_path: Path) -> Path:
    assert camward("init", "--host", "camera.example")[0] == 0
    return tmp_path / "fleet"


def test_init_makes_a_fleet_for_its_names_and_this_machine(camward: Camward, tmp_path: Path) -> None:
    code, out, error = camward("init", "--host", "Camera.example", "--name", "192.0.2.7")
    assert (code, error) == (0, "")
    assert load(tmp_path / "fleet").names == ("camera.example", "192.0.2.7", "localhost", "127.0.0.1", "::1")
    assert (tmp_path / "fleet").stat().st_mode & 0o777 == 0o700
    assert "offline" in out


def test_init_never_overwrites_a_fleet(camward: Camward, fleet: Path) -> None:
    root = (fleet / "root.pem").read_bytes()
    code, _, error = camward("init")
    assert (code, error.count("\n")) == (1, 1)
    assert "never overwritten" in error
    assert (fleet / "root.pem").read_bytes() == root


@pytest.mark.parametrize("command", [["devices"], ["claim", "--serial", "SN1"], ["serve"], ["revoke", "x"]])
def test_without_a_fleet_every_command_says_how_to_make_one(camward: Camward, command: list[str]) -> None:
    code, out, error = camward(*command)
    assert (code, out, error.count("\n")) == (1, "", 1)
    assert "camward fleet init" in error


def test_claim_prints_a_code_and_a_command_that_does_not_hold_it(camward: Camward, fleet: Path) -> None:
    code, out, _ = camward("claim", "--serial", "SN42", "--label", "Front door")
    assert code == 0
    one_time = re.search(r"^code +(\S+)", out, re.MULTILINE)
    assert one_time is not None
    commands = [line for line in out.splitlines() if "camward enroll" in line]
    assert commands == ["  camward enroll --config agent.toml --serial SN42"]
    assert "https://camera.example:8443" in out
    assert out.count(one_time[1]) == 1


def test_claim_speaks_json_to_a_script(camward: Camward, fleet: Path) -> None:
    _, out, _ = camward("claim", "--serial", "SN42", "--json")
    claim = json.loads(out)
    assert set(claim) == {"device", "serial", "code", "expires_at"}
    assert claim["serial"] == "SN42"
    assert 23 < (claim["expires_at"] - datetime.now(UTC).timestamp()) / 3600 <= 24


def test_devices_are_a_table_or_json(camward: Camward, fleet: Path) -> None:
    assert "no devices yet" in camward("devices")[1]
    loaded = load(fleet)
    registry = Registry(loaded.registry_url)
    device = enrol(loaded, registry, "SN1")
    camward("claim", "--serial", "SN2", "--label", "Zoo")
    _, out, _ = camward("devices")
    header, first, second = out.splitlines()
    assert header.split() == ["ID", "SERIAL", "LABEL", "STATE", "CERTIFICATE", "ENDS"]
    assert first.split()[:4] == [device.id, "SN1", "SN1", "enrolled"]
    assert second.split()[1:] == ["SN2", "Zoo", "claimed", "-"]
    listed = json.loads(camward("devices", "--json")[1])["devices"]
    ends_at = device.operational.chain[0].not_valid_after_utc.timestamp()
    assert [(entry["state"], entry["certificate_ends_at"]) for entry in listed] == [
        ("enrolled", ends_at),
        ("claimed", None),
    ]


def test_revoke_wants_somebody_to_confirm(camward: Camward, fleet: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    device = json.loads(camward("claim", "--serial", "SN1", "--json")[1])["device"]
    for nobody in (open(os.devnull), None):  # noqa: SIM115, PTH123
        monkeypatch.setattr("sys.stdin", nobody)
        code, _, error = camward("revoke", device)
        assert (code, "--yes" in error) == (1, True)
    assert Registry(load(fleet).registry_url).device(device).state == "claimed"
    assert camward("revoke", device, "--yes")[0] == 0
    assert Registry(load(fleet).registry_url).device(device).state == "revoked"


@pytest.mark.parametrize(
    ("answer", "state"), [(b"n\n", "claimed"), (b"\n", "claimed"), (b"\4", "claimed"), (b"y\n", "revoked")]
)
def test_revoke_asks_a_person(camward: Camward, fleet: Path, answer: bytes, state: str) -> None:
    device = json.loads(camward("claim", "--serial", "SN1", "--json")[1])["device"]
    outer, inner = pty.openpty()
    command = [sys.executable, "-m", "camward", "fleet", "revoke", device, "--dir", str(fleet)]
    with subprocess.Popen(command, stdin=inner, stdout=inner, stderr=inner) as process:
        os.close(inner)
        shown = b""
        while b"[y/N]" not in shown:
            assert select.select([outer], [], [], 20)[0]
            shown += os.read(outer, 1000)
        os.write(outer, answer)
        assert process.wait(20) == (0 if state == "revoked" else 1)
    os.close(outer)
    assert Registry(load(fleet).registry_url).device(device).state == state


def test_an_address_stands_in_brackets_where_it_must(camward: Camward) -> None:
    camward("init", "--host", "2001:db8::7")
    assert 'est = "https://[2001:db8::7]:8443"' in camward("claim", "--serial", "SN1")[1]
    assert "https://[2001:db8::7]:8443/" in camward("grant", "anna", "--device", "all")[1]


@pytest.mark.parametrize("file", ["registry.sqlite", "issuing/device.anchor.pem"])
def test_a_file_that_cannot_be_used_is_one_line_that_names_it(camward: Camward, fleet: Path, file: str) -> None:
    (fleet / file).unlink(missing_ok=True)
    (fleet / file).mkdir()
    code, _, error = camward("serve")
    assert (code, error.count("\n")) == (1, 1)
    assert file in error


def test_an_unknown_device_is_one_line(camward: Camward, fleet: Path) -> None:
    code, _, error = camward("revoke", "a" * 26, "--yes")
    assert (code, error.count("\n")) == (1, 1)
    assert "there is no device" in error


def test_grant_gives_a_person_a_code_that_signs_in(camward: Camward, fleet: Path) -> None:
    code, out, _ = camward("grant", "anna", "--device", "all")
    one_time = re.search(r"^code +(\S+)", out, re.MULTILINE)
    assert one_time is not None
    assert code == 0
    people = People(Registry(load(fleet).registry_url).engine)
    cookie = people.sign_in(one_time[1], datetime.now(UTC))
    assert cookie is not None
    assert people.person_of(cookie, datetime.now(UTC)) == "anna"
    assert set(json.loads(camward("grant", "anna", "--device", "all", "--json")[1])) == {"name", "code"}


def test_grant_gives_an_app_a_certificate(camward: Camward, fleet: Path) -> None:
    code, out, _ = camward("grant", "recorder", "--device", "all", "--scope", "live,control", "--app", "--json")
    assert code == 0
    assert json.loads(out)["file"] == str(fleet / "apps" / "recorder.pem")
    assert (fleet / "apps" / "recorder.pem").stat().st_mode & 0o777 == 0o600
    assert People(Registry(load(fleet).registry_url).engine).permissions("recorder").allow("a" * 26, "control")


@pytest.mark.parametrize("name", ["gateway", "fleet", "a" * 26, "Anna", "../x", ""])
def test_an_app_gets_no_name_that_is_somebody_else_s(camward: Camward, fleet: Path, name: str) -> None:
    code, _, error = camward("grant", name, "--device", "all", "--app")
    assert (code, error.count("\n")) == (1, 1)
    assert not (fleet / "apps").exists()


@pytest.mark.parametrize("option", ["--port=0", "--port=http", "--seconds=nan", "--seconds=-1", "--seconds=soon"])
def test_a_number_that_the_demo_cannot_use_is_named(option: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(["demo", option])
    assert repr(option.partition("=")[2]) in capsys.readouterr().err


def test_wrong_usage_is_2_and_help_has_examples(camward: Camward) -> None:
    assert camward("claim")[0] == 2
    assert camward("frob")[0] == 2
    code, out, _ = camward("--help")
    assert code == 0
    assert "examples:" in out


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_serve_says_where_it_listens_and_ends_cleanly(camward: Camward, fleet: Path, number: int) -> None:
    ports = [free_port() for _ in range(3)]
    lines = [f"{name} = {port}" for name, port in zip(("https", "page", "broker"), ports, strict=True)]
    (fleet / "fleet.toml").write_text("\n".join(['names = ["localhost"]', "[ports]", *lines]))
    command = [sys.executable, "-m", "camward", "fleet", "serve", "--dir", str(fleet)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        assert process.stdout is not None
        said = ""
        while "serving" not in said:
            said = process.stdout.readline()
            assert said
        assert all(str(port) in said for port in ports)
        process.send_signal(number)
        rest, _ = process.communicate(timeout=40)
        assert process.returncode == 0
        assert rest.rstrip().endswith("ended")
        assert "Traceback" not in rest


def test_what_a_stranger_wrote_stays_in_the_line_that_tells_of_it() -> None:
    assert clock_line("Door: \x1b[2J\nforged \u202e").endswith(r"  Door: \x1b[2J\nforged \u202e")

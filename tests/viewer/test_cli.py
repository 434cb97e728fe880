"""`camward view` as a shell calls it, against a fleet in a box."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import threading
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from tests.kit.caller import TrustTree
from tests.viewer.conftest import DEVICE
from tests.viewer.test_record import ROOT, probe
from viewer.cli import OK, STOPPED, view
from viewer.errors import ViewError

pytestmark = pytest.mark.xdist_group("demo")
CAMWARD = (sys.executable, "-m", "camward")
MANUAL = (ROOT / "docs" / "how-to" / "watch-from-a-shell.md").read_text()


@dataclass(frozen=True, slots=True, kw_only=True)
class Box:
    """A demo that runs."""

    directory: Path
    device: str
    page: str
    https: int
    broker: int

    @property
    def root(self) -> str:
        return str(self.directory / "root.pem")

    def code(self) -> str:
        """A new one-time code of somebody who may see everything."""
        said = _call("fleet", "grant", "anna", "--device", "all", "--dir", self.directory, "--json")
        return str(json.loads(said)["code"])

    def app(self) -> list[str]:
        """What makes the viewer an app."""
        path = self.directory / "apps" / "door.pem"
        if not path.exists():
            _call("fleet", "grant", "door", "--app", "--device", "all", "--dir", self.directory)
        return ["--app", str(path), "--broker", f"localhost:{self.broker}"]

    def person(self) -> list[str]:
        """The way over the gateway."""
        return ["--device", self.device, "--fleet", self.page, "--root", self.root]

    def over_tls(self, device: str = "", root: str = "") -> list[str]:
        """The way of an app."""
        fleet = f"https://localhost:{self.https}"
        return ["--device", device or self.device, "--fleet", fleet, "--root", root or self.root, *self.app()]


def _call(*words: str | Path) -> str:
    return subprocess.run([*CAMWARD, *words], cwd=ROOT, capture_output=True, text=True, check=True, timeout=30).stdout


@pytest.fixture(scope="module", params=["mosquitto", "embedded"])
def box(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Box]:
    """A fleet in a box, whose camera shows the test pattern."""
    directory = tmp_path_factory.mktemp("box") / "demo"
    options = ["--dir", directory, "--source", "pattern", "--broker", request.param, "--no-browser"]
    demo = subprocess.Popen(
        [*CAMWARD, "demo", *options], cwd=ROOT, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    assert demo.stdout is not None
    said = ""
    try:
        while not (ready := re.search(r"open (\S+)/#code=", said)):
            line = demo.stdout.readline()
            assert line, f"the demo ended: {said}"
            said += line
        draining = threading.Thread(target=demo.stdout.read)
        draining.start()
        enrolled = re.search(r"enrolled as ([a-z2-7]{26})", said)
        assert enrolled is not None, said
        agent = tomllib.loads((directory / "agent.toml").read_text())  # the ports that were free stand here
        yield Box(
            directory=directory / "fleet",
            device=enrolled[1],
            page=ready[1],
            https=int(agent["identity"]["est"].rpartition(":")[2]),
            broker=agent["broker"]["port"],
        )
    finally:
        demo.send_signal(signal.SIGINT)
        demo.wait(40)
    draining.join()


def start(*words: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [*CAMWARD, "view", *words],
        cwd=ROOT,
        text=True,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def viewed(*words: str, code: str = "") -> tuple[int, dict[str, Any]]:
    """Call `camward view --json`; give its exit code, and what it printed."""
    process = start(*words, "--json")
    out, err = process.communicate(f"{code}\n", timeout=50)
    assert "Traceback" not in err, err
    return process.returncode, json.loads(out)


@pytest.mark.broker
@pytest.mark.alone
def test_a_person_and_an_app_record_what_the_camera_sends(box: Box, tmp_path: Path) -> None:
    for name, way, code in (("person", box.person(), box.code()), ("app", box.over_tls(), "")):
        path = tmp_path / f"{name}.mp4"

        exit_code, said = viewed(*way, "--record", str(path), "--seconds", "2", code=code)

        assert (exit_code, said["reason"], said["file"]) == (0, "done", str(path)), said
        assert (said["width"], said["height"]) == (1280, 720)
        assert [member for member in said if f"`{member}`" not in MANUAL] == []
        read = probe(path)
        assert (read["codec_name"], read["width"], read["height"]) == ("h264", 1280, 720)
        assert Fraction(read["r_frame_rate"]) == 30
        assert int(read["nb_read_frames"]) == said["frames"]
        assert float(read["duration"]) == pytest.approx(2.0, abs=0.3)


@pytest.mark.broker
def test_ctrl_c_finishes_the_file(box: Box, tmp_path: Path) -> None:
    process = start(*box.over_tls(), "--record", str(tmp_path / "out.mp4"))
    assert process.stderr is not None
    said = ""
    while "fps" not in said:
        line = process.stderr.readline()
        assert line, f"the viewer ended: {said}"
        said += line

    process.send_signal(signal.SIGINT)
    out, _ = process.communicate(timeout=40)

    assert process.returncode == 0
    assert "saved to" in out
    assert int(probe(tmp_path / "out.mp4")["nb_read_frames"]) > 0


@pytest.mark.broker
def test_each_refusal_has_its_exit_code(box: Box, tmp_path: Path) -> None:
    other = tmp_path / "other.pem"
    other.write_bytes(TrustTree().root.public_bytes(Encoding.PEM))
    refusals = [
        (viewed(*box.person(), code="abcd-efgh-ijkl-mnop"), 3, "code"),
        (viewed(*box.over_tls(device=DEVICE)), 3, "unknown"),
        (viewed(*box.over_tls(root=str(other))), 4, "untrusted-fleet"),
        (viewed(*box.over_tls()[:-1], "localhost:1"), 1, "unreachable"),
    ]

    assert [(code, said["reason"], said["exit_code"]) for (code, said), _, _ in refusals] == [
        (code, reason, code) for _, code, reason in refusals
    ]
    assert all(said["message"].endswith(".") for (_, said), _, _ in refusals)


def test_the_manual_names_every_exit_code() -> None:
    codes = [OK, STOPPED, *(kind.exit_code for kind in ViewError.__subclasses__())]

    assert [code for code in codes if f"\n| {code} | " not in MANUAL] == []


def test_wrong_usage_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert view(["--device", "front-door", "--fleet", "https://camera.example", "--root", "root.pem"]) == 2

    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.count("\n") == 1


@pytest.mark.parametrize("code", ["", "   \n"])
def test_without_a_code_nobody_is_called(tmp_path: Path, code: str, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "root.pem").write_bytes(TrustTree().root.public_bytes(Encoding.PEM))
    (tmp_path / "code").write_text(code)
    words = ["--device", DEVICE, "--fleet", "https://camera.example", "--root", str(tmp_path / "root.pem")]

    assert view([*words, "--code-file", str(tmp_path / "code")]) == 2

    assert "sign-in code is wanted" in capsys.readouterr().err


def test_a_standard_input_that_is_closed_has_no_code(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "root.pem").write_bytes(TrustTree().root.public_bytes(Encoding.PEM))
    monkeypatch.setattr(sys, "stdin", None)

    assert view(["--device", DEVICE, "--fleet", "https://camera.example", "--root", str(tmp_path / "root.pem")]) == 2

    assert "sign-in code is wanted" in capsys.readouterr().err

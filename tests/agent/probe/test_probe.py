"""`camward probe` on this machine, whichever it is: what it says is what is really there.

    python -m pytest tests/agent/probe/test_probe.py

Runs as it is on a real board, on the virtual one and in a guest with cameras: nothing is assumed to be there or not.
"""

from __future__ import annotations

import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from agent.capture import devices, picamera_open
from agent.capture.choose import Choice
from agent.config import CameraConfig

NOWHERE = "/nonexistent/agent.toml"


def camward(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "camward", "probe", *arguments], capture_output=True, text=True, timeout=55, check=False
    )


@pytest.fixture(scope="module")
def done() -> subprocess.CompletedProcess[str]:
    return camward("--json", "--config", NOWHERE)


@pytest.fixture(scope="module")
def said(done: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    document = json.loads(done.stdout)
    assert document["schema"] == 1
    return dict(document)


def test_it_chooses_what_the_agent_chooses_and_its_exit_code_says_whether_that_is_real(
    done: subprocess.CompletedProcess[str], said: dict[str, Any]
) -> None:
    source, why = Choice(CameraConfig())()

    assert (said["choice"]["source"], said["choice"]["why"]) == (source.name, why)
    assert said["choice"]["real"] == (not source.name.startswith("pattern "))
    assert done.returncode == (0 if said["choice"]["real"] else 1)
    assert done.stderr == ""


def test_the_board_is_this_machine(said: dict[str, Any]) -> None:
    board = said["facts"]["board"]

    assert board["kernel"] == os.uname().release
    assert board["architecture"] == os.uname().machine
    assert board["cores"] == os.cpu_count()
    assert board["memory_mib"] == os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2**20


def test_every_video_node_is_named_and_those_that_are_cameras_are_called_so(said: dict[str, Any]) -> None:
    video = said["facts"]["video"]

    assert {node["path"] for node in video} == {str(path) for path in Path("/dev").glob("video[0-9]*")}
    assert [node["path"] for node in video if node["role"] == "camera"] == [str(path) for path in devices.cameras()]
    for node in video:
        if node["role"] == "camera":
            little_endian = {one["fourcc"] for one in node["formats"] if not one["fourcc"].endswith("-BE")}
            assert little_endian == {name.strip() for name in devices.formats(Path(node["path"])) if name.isascii()}


def test_a_node_is_described_as_v4l2_ctl_describes_it(said: dict[str, Any]) -> None:
    nodes = [node for node in said["facts"]["video"] if node["problem"] is None]
    if not nodes:
        pytest.skip("this machine has no /dev/video* that may be opened")
    if shutil.which("v4l2-ctl") is None:  # on a board; `make test` installs it
        pytest.skip("nothing to compare with: sudo apt-get install v4l-utils")
    for node in nodes:
        other = subprocess.run(
            ["v4l2-ctl", "-d", node["path"], "--info", "--list-formats-ext"], capture_output=True, text=True, check=True
        ).stdout
        assert node["driver"] in other
        assert node["card"] in other
        for one in node["formats"]:
            assert re.search(rf"'{re.escape(one['fourcc'])} *'", other)
            assert all(f"Discrete {size}\n" in other for size in one["sizes"] if " to " not in size)


def test_libcamera_s_cameras_are_those_that_picamera2_sees(said: dict[str, Any]) -> None:
    libcamera = said["facts"]["libcamera"]

    if importlib.util.find_spec("picamera2") is None:
        assert libcamera["picamera2"] is None
        assert "picamera2 is not installed" in libcamera["problem"]
    else:
        assert [one["model"] for one in libcamera["sensors"]] == [camera.model for camera in picamera_open.cameras()]


def test_an_encoder_that_works_has_made_pictures(said: dict[str, Any]) -> None:
    encoders = {one["codec"]: one for one in said["facts"]["encoders"]}

    assert encoders["libx264"]["works"]
    for one in encoders.values():
        assert one["works"] is not None
        assert (one["fps"] is not None and one["fps"] > 0 and one["cpu_ms"] > 0) == one["works"]
        assert (one["problem"] is None) == one["works"]


def test_quick_encodes_nothing() -> None:
    encoders = json.loads(camward("--json", "--quick", "--config", NOWHERE).stdout)["facts"]["encoders"]

    assert [one["works"] for one in encoders if one["codec"] == "libx264"] == [None]
    assert all(one["fps"] is None for one in encoders)


def test_the_page_says_the_same_in_fewer_than_sixty_lines(said: dict[str, Any]) -> None:
    lines = camward("--quick", "--config", NOWHERE).stdout.splitlines()

    assert lines[0] == said["facts"]["board"]["model"]
    assert len(lines) < 60
    assert max(map(len, lines)) <= 110
    assert any(line.startswith("Choice     ") for line in lines)


def test_settings_that_cannot_be_used_are_named_and_nothing_is_taken(tmp_path: Path) -> None:
    wrong = tmp_path / "agent.toml"
    wrong.write_text("[camera]\nfps = 900\n")
    done = camward("--json", "--quick", "--config", str(wrong))
    document = json.loads(done.stdout)

    assert done.returncode == 1
    assert document["choice"]["source"] is None
    assert document["next"][0].startswith(f"mend the configuration: {wrong}: ")


def test_wrong_usage_is_2() -> None:
    assert camward("--frob").returncode == 2

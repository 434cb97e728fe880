"""What a probe concludes from what boards of each kind said; the agent's own code chooses, as it would there."""

from __future__ import annotations

import dataclasses
import sys
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from agent.capture import devices
from agent.config import CameraConfig
from agent.probe import judge
from agent.probe.board import board, boot
from agent.probe.encoders import encoders
from agent.probe.facts import Choice, Facts, Format, Report
from agent.probe.gather import taken
from agent.probe.libcamera import listed
from agent.probe.page import page
from tests.agent.probe import recorded, samples


@pytest.fixture
def name(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Put a recorded board's cameras where the agent looks for them; give the board's name."""
    sensors = listed(recorded.listing(request.param))
    picamera2 = ModuleType("picamera2")
    picamera2.__spec__ = ModuleSpec("picamera2", None)
    info: list[dict[str, Any]] = [{"Model": one.model, "Id": one.path, "Num": num} for num, one in enumerate(sensors)]
    picamera2.Picamera2 = SimpleNamespace(global_camera_info=lambda: info)  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "picamera2", picamera2)
    monkeypatch.setattr(devices, "cameras", lambda: recorded.cameras(request.param))
    monkeypatch.setattr(devices, "modes", recorded.modes)
    return str(request.param)


def facts_of(name: str) -> Facts:
    top, video = recorded.BOARDS / name, recorded.video(name)
    sensors = listed(recorded.listing(name))
    return dataclasses.replace(
        samples.FACTS,
        board=board(top),
        boot=boot(top),
        video=video,
        libcamera=dataclasses.replace(
            samples.FACTS.libcamera, picamera2="0.3.31", sensors=sensors, seen_by="picamera2" if sensors else None
        ),
        encoders=encoders(
            CameraConfig(), m2m=any(node.role == "encoder" for node in video), quick=True, say=lambda doing: None
        ),
    )


def chosen(facts: Facts) -> Choice:
    return judge.choice(facts, taken(CameraConfig()))


@pytest.mark.parametrize("name", ["zero2w", "pi3bplus", "pi4b", "cm4"], indirect=True)
def test_up_to_the_4_the_camera_at_the_ribbon_is_encoded_by_the_board(name: str) -> None:
    choice = chosen(facts_of(name))

    assert choice.real
    assert choice.source is not None
    assert choice.source.startswith("picamera ")
    assert (choice.encoder, choice.encoder_kind) == ("bcm2835-codec-encode", "hardware")
    assert "/dev/video11" in choice.encoder_why


@pytest.mark.parametrize("name", ["pi5"], indirect=True)
def test_a_5_has_no_encoder_so_the_processor_encodes(name: str) -> None:
    facts = facts_of(name)
    choice = chosen(facts)

    assert choice.real
    assert choice.source is not None
    assert choice.source.startswith("picamera ")
    assert (choice.encoder, choice.encoder_kind) == ("libx264", "software")
    assert "no H.264 encoder" in choice.encoder_why
    assert all(node.role == "other" for node in facts.video)


@pytest.mark.parametrize("name", ["pi5-usb"], indirect=True)
def test_a_5_with_a_usb_camera_takes_that(name: str) -> None:
    choice = chosen(facts_of(name))

    assert choice.real
    assert choice.source is not None
    assert choice.source.startswith("v4l2 video0 ")
    assert (choice.encoder, choice.encoder_kind) == ("libx264", "software")
    assert choice.mode is not None
    assert choice.mode.startswith("MJPG 1600x600 at 30 fps, because there is no raw picture of this size")


@pytest.mark.parametrize("name", [path.name for path in sorted(recorded.BOARDS.iterdir())], indirect=True)
def test_where_a_camera_is_taken_nothing_about_it_is_to_be_done(name: str) -> None:
    facts = facts_of(name)

    assert list(judge.steps(facts, chosen(facts))) == []


@pytest.mark.parametrize("name", [path.name for path in sorted(recorded.BOARDS.iterdir())], indirect=True)
def test_the_page_is_short_and_starts_with_the_board(name: str) -> None:
    facts = facts_of(name)
    lines = page(Report(schema=1, facts=facts, choice=chosen(facts), next=())).splitlines()

    assert lines[0] == facts.board.model
    assert len(lines) < 60
    assert max(map(len, lines)) <= 110


@pytest.mark.parametrize(
    ("name", "model", "cpu", "aes"),
    [
        ("zero2w", "Raspberry Pi Zero 2 W Rev 1.0", "Cortex-A53", False),
        ("pi3bplus", "Raspberry Pi 3 Model B Plus Rev 1.3", "Cortex-A53", False),
        ("pi4b", "Raspberry Pi 4 Model B Rev 1.5", "Cortex-A72", False),
        ("cm4", "Raspberry Pi Compute Module 4 Rev 1.1", "Cortex-A72", False),
        ("pi5", "Raspberry Pi 5 Model B Rev 1.0", "Cortex-A76", True),
    ],
)
def test_a_board_is_known_by_its_files(name: str, model: str, cpu: str, aes: bool) -> None:
    found = board(recorded.BOARDS / name)

    assert (found.model, found.cpu, found.cores, found.aes, found.is_pi) == (model, cpu, 4, aes, True)


def test_a_directory_without_any_file_is_a_board_that_nothing_is_known_of(tmp_path: Path) -> None:
    found = board(tmp_path)

    assert (found.cpu, found.cores, found.memory_mib, found.system, found.is_pi) == ("unknown", 0, 0, "unknown", False)
    assert boot(tmp_path) is None


def test_every_year_s_listing_is_read() -> None:
    assert [(one.model, one.size) for name in ("zero2w", "cm4", "pi5") for one in listed(recorded.listing(name))] == [
        ("ov5647", "2592x1944"),
        ("imx477", "4056x3040"),
        ("imx708", "4608x2592"),
    ]
    assert [one.model for one in listed(recorded.listing("pi3bplus"))] == ["imx219", "H264 USB Camera: USB Camera"]
    assert listed("Could not open any dmaHeap device\nNo cameras available!\n") == ()


def test_config_txt_says_whether_cameras_are_looked_for() -> None:
    found = boot(recorded.BOARDS / "zero2w")

    assert found is not None
    assert (found.path, found.auto_detect, found.overlays, found.legacy) == (
        "/boot/config.txt",
        True,
        ("vc4-fkms-v3d",),
        False,
    )


def test_a_camera_of_many_formats_is_a_line_that_names_the_best() -> None:
    sizes = ("320x180", "3840x2160", "1920x1080")
    many = tuple(Format(fourcc=name, sizes=sizes) for name in ("AR24", "RGB3", "YUYV", "HSV3", "MJPG", "XR15-BE"))
    (camera,) = (node for node in recorded.video("pi5-usb") if node.role == "camera")
    facts = dataclasses.replace(samples.FACTS, video=(dataclasses.replace(camera, formats=many),))
    said = page(Report(schema=1, facts=facts, choice=judge.choice(facts, taken(CameraConfig())), next=()))

    assert ": MJPG up to 3840x2160, YUYV up to 3840x2160, AR24 up" in said.replace("\n" + " " * 13, " ")
    assert "and 2 formats more" in said.replace("\n" + " " * 13, " ")

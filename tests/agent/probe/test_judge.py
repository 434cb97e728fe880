"""What to do next, where something is missing: a line for each, and nothing about what is there."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from agent.capture.modes import Chosen
from agent.probe import judge
from agent.probe.facts import Boot, Chip, Choice, Facts, Format, Libcamera, Sensor, Taken, VideoNode
from tests.agent.probe.samples import ENCODER, FACTS, X264

NONE = Taken(source="pattern 1280x720 at 30 fps, libx264", why="auto: no camera found, so the test pattern")
USB = VideoNode(
    path="/dev/video0",
    driver="uvcvideo",
    card="A camera",
    role="camera",
    formats=(Format(fourcc="MJPG", sizes=("1280x720",)),),
    used_by=(),
    problem=None,
)
RAW = Chosen("YUYV", 1280, 720, 30, "YUYV 1280x720 at 30 fps, raw, which needs no decoding")
PISP = dataclasses.replace(ENCODER, path="/dev/video20", driver="pispbe", card="pispbe", role="other")


def at(facts: Facts, **changes: Any) -> Facts:
    """Change fields that are written with two underscores for a dot."""
    for path, value in changes.items():
        section, _, name = path.partition("__")
        changed = dataclasses.replace(getattr(facts, section), **{name: value}) if name else value
        facts = dataclasses.replace(facts, **{section: changed})
    return facts


def nothing_seen(**changes: Any) -> Facts:
    return at(FACTS, **{"libcamera__sensors": (), "libcamera__seen_by": None} | changes)


def steps(facts: Facts, taken: Taken = NONE) -> list[str]:
    return list(judge.steps(facts, judge.choice(facts, taken)))


def of(source: str, facts: Facts = FACTS, mode: Chosen | None = None) -> Choice:
    return judge.choice(facts, Taken(source=source, why="because", mode=mode))


def test_where_all_is_well_nothing_is_to_be_done() -> None:
    assert steps(FACTS, Taken(source="picamera 1280x720 at 30 fps", why="because")) == []


@pytest.mark.parametrize(
    ("facts", "wanted"),
    [
        (nothing_seen(video=(dataclasses.replace(USB, problem="Permission denied"),)), "usermod -aG video pi"),
        (nothing_seen(libcamera__denied=True), "usermod -aG video pi"),
        (nothing_seen(libcamera__picamera2=None, libcamera__problem="picamera2 is not installed"), "--system-site"),
        (nothing_seen(libcamera__problem="picamera2 does not work here: ImportError: numpy"), "ImportError: numpy"),
        (nothing_seen(boot__legacy=True), "take start_x=1 out of /boot/firmware/config.txt"),
        (nothing_seen(boot__auto_detect=False), "camera_auto_detect=1 into /boot/firmware/config.txt"),
        (nothing_seen(boot__auto_detect=False, boot__overlays=("vc4-kms-v3d",)), "camera_auto_detect=1 into"),
        (nothing_seen(boot__auto_detect=False, boot__overlays=("imx708",)), "seat the camera's ribbon"),
        (nothing_seen(), "seat the camera's ribbon at both ends"),
        (nothing_seen(board__model="ROCK 5B", boot=None), "plug in a USB camera"),
        (at(FACTS, libcamera__seen_by="rpicam-hello"), "libcamera sees imx708, and this Python no picamera2"),
        (at(FACTS, configuration__source="pattern"), 'camera.source is "pattern"'),
        (at(FACTS, configuration__problem="camera.fps = 900 is not allowed"), "mend the configuration: camera.fps"),
    ],
)
def test_without_a_camera_the_first_step_is_the_nearest_cause(facts: Facts, wanted: str) -> None:
    assert wanted in steps(facts)[0]


@pytest.mark.parametrize(
    ("facts", "wanted"),
    [
        (at(FACTS, video=()), "modprobe bcm2835_codec"),
        (at(FACTS, encoders=(dataclasses.replace(X264, works=False, problem="gone"),)), "pip install --force"),
        (at(FACTS, video=(PISP,), encoders=(dataclasses.replace(X264, fps=17.0),)), "17 pictures of 1280x720 a second"),
        (at(FACTS, clock__plausible=False), "the clock shows a time that has passed"),
        (at(FACTS, clock__synchronised=False), "timedatectl set-ntp true"),
        (at(FACTS, network=()), "no network interface has an address"),
        (at(FACTS, configuration__pins=(17,), pins__library=None, pins__problem="none"), "python3-lgpio"),
        (
            at(
                FACTS,
                configuration__pins=(17,),
                pins__chips=(Chip(path="/dev/gpiochip0", label="", lines=0, problem="Permission denied"),),
            ),
            "usermod -aG gpio pi",
        ),
        (at(FACTS, configuration__found=False), "systemd/agent.toml /etc/camward/agent.toml"),
    ],
)
def test_with_a_camera_each_thing_that_is_missing_has_its_step(facts: Facts, wanted: str) -> None:
    (step,) = steps(facts, Taken(source="picamera 1280x720 at 30 fps", why="because"))

    assert wanted in step


def test_another_program_at_the_camera_is_named_and_the_agent_itself_is_not() -> None:
    camera = dataclasses.replace(USB, used_by=("camward (700)",))
    taken = Taken(source="v4l2 video0 1280x720 at 30 fps", why="because", mode=RAW)

    assert steps(at(FACTS, video=(camera, ENCODER)), taken) == []
    busy = dataclasses.replace(camera, used_by=("camward (700)", "ffmpeg (4711)"))
    assert steps(at(FACTS, video=(busy, ENCODER)), taken) == [
        "ffmpeg (4711) uses /dev/video0: end it, or the camera is busy for the agent"
    ]


@pytest.mark.parametrize(
    ("changes", "wanted"),
    [({"user_exists": False}, "sudo systemd-sysusers"), ({"groups": ("gpio",)}, "usermod -aG video camward")],
)
def test_the_service_s_user_has_to_be_there_and_to_see_cameras(changes: dict[str, Any], wanted: str) -> None:
    service = FACTS.privileges.service
    assert service is not None
    facts = at(FACTS, privileges__service=dataclasses.replace(service, **changes))

    (step,) = steps(facts, Taken(source="picamera 1280x720 at 30 fps", why="because"))

    assert wanted in step


def test_a_step_is_a_line_and_no_secret_of_config_txt() -> None:
    facts = nothing_seen(boot=Boot(path="/boot/config.txt", auto_detect=False, overlays=(), legacy=True))

    assert all("\n" not in step for step in steps(facts))


@pytest.mark.parametrize(
    ("mode", "encoder", "kind"),
    [(dataclasses.replace(RAW, fourcc="H264"), None, "camera"), (RAW, "libx264", "software")],
)
def test_a_usb_camera_that_offers_h264_is_passed_on_where_that_is_taken(
    mode: Chosen, encoder: str | None, kind: str
) -> None:
    camera = dataclasses.replace(USB, formats=(*USB.formats, Format(fourcc="H264", sizes=("1920x1080",))))
    choice = of("v4l2 video0 1280x720 at 30 fps", at(FACTS, video=(camera,)), mode)

    assert (choice.real, choice.encoder, choice.encoder_kind, choice.mode) == (True, encoder, kind, mode.why)


def test_a_usb_camera_that_cannot_be_asked_is_said_to_be_so_and_what_to_do_comes_first() -> None:
    problem = "/dev/video0: this user may not open it; add it to the group video (usermod -aG video USER)"
    taken = Taken(source="v4l2 video0 1280x720 at 30 fps", why="because", problem=problem)
    choice = judge.choice(FACTS, taken)

    assert (choice.real, choice.mode, choice.encoder, choice.encoder_kind) == (True, None, None, None)
    assert choice.encoder_why == steps(FACTS, taken)[0] == problem


@pytest.mark.parametrize(
    ("works", "encoder", "kind"),
    [(True, "h264_v4l2m2m", "hardware"), (None, "h264_v4l2m2m", "hardware"), (False, "libx264", "software")],
)
def test_a_usb_camera_is_encoded_by_the_board_where_that_works(works: bool | None, encoder: str, kind: str) -> None:
    tried = dataclasses.replace(X264, codec="h264_v4l2m2m", works=works)
    choice = of("v4l2 video0 1280x720 at 30 fps", at(FACTS, video=(USB, ENCODER), encoders=(tried, X264)), RAW)

    assert (choice.encoder, choice.encoder_kind) == (encoder, kind)


@pytest.mark.parametrize("source", ["pattern 1280x720 at 30 fps, libx264", "clip holiday.mp4"])
def test_neither_the_pattern_nor_a_file_is_a_real_camera(source: str) -> None:
    assert not of(source).real


def test_a_camera_at_the_network_is_real_and_needs_no_encoder() -> None:
    choice = of("rtsp camera.example")

    assert (choice.real, choice.encoder, choice.encoder_kind) == (True, None, "camera")


def test_what_cannot_be_taken_has_no_encoder_and_says_why() -> None:
    choice = judge.choice(FACTS, Taken(source=None, why="no /dev/video* is a camera"))

    assert (choice.source, choice.real, choice.encoder, choice.why) == (None, False, None, "no /dev/video* is a camera")
    assert any("cannot be taken" in step for step in judge.steps(FACTS, choice))


def test_a_camera_that_only_rpicam_hello_sees_names_the_package() -> None:
    seen = Libcamera(
        picamera2=None,
        problem="picamera2 is not installed",
        denied=False,
        seen_by="rpicam-hello",
        sensors=(Sensor(model="ov5647", size="2592x1944", path=None),),
    )

    assert "sudo apt install python3-picamera2" in steps(at(FACTS, libcamera=seen))[0]

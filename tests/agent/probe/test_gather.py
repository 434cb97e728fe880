"""What a probe says of a USB camera is what the capture itself would ask its driver for."""

from __future__ import annotations

import dataclasses
import errno
import textwrap
from pathlib import Path

import pytest

from agent.capture import devices
from agent.capture.modes import Mode
from agent.config import CameraConfig
from agent.probe import judge
from agent.probe.facts import Report
from agent.probe.gather import taken
from agent.probe.page import page
from tests.agent.capture.webcam import recorded
from tests.agent.probe import samples


@pytest.fixture
def c920(monkeypatch: pytest.MonkeyPatch) -> None:
    """An older C920, whose own H.264 ends at 1920x1080, is the first camera."""

    def modes(device: Path, width: int, height: int, fps: float) -> list[Mode]:
        return recorded("c920", width, height)

    monkeypatch.setattr(devices, "cameras", lambda: [Path("/dev/video0")])
    monkeypatch.setattr(devices, "modes", modes)


@pytest.mark.parametrize(
    ("config", "mode", "encoder"),
    [
        (CameraConfig(), "H264 1280x720 at 30 fps, the camera's own H.264", "no encoder: the camera gives H.264"),
        (
            CameraConfig(width=2304, height=1536, fps=2),
            "YUYV 2304x1536 at 2 fps, raw, which needs no decoding",
            "libx264 (software): no hardware encoder works here",
        ),
    ],
)
def test_of_a_camera_that_offers_h264_too_it_says_what_would_be_taken(
    c920: None, config: CameraConfig, mode: str, encoder: str
) -> None:
    facts = dataclasses.replace(samples.FACTS, video=())
    choice = judge.choice(facts, taken(config))
    said = page(Report(schema=1, facts=facts, choice=choice, next=()))

    assert choice.mode == mode
    assert f"\n{textwrap.indent(mode, ' ' * 11)}\n{' ' * 11}{encoder}" in said


def test_a_camera_that_may_not_be_asked_is_what_it_says_and_no_encoder_is_guessed(
    c920: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    def denied(*asked: object) -> list[Mode]:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(devices, "modes", denied)
    choice = judge.choice(samples.FACTS, taken(CameraConfig(source="v4l2:/dev/video0")))

    assert (choice.mode, choice.encoder, choice.encoder_kind) == (None, None, None)
    assert choice.encoder_why.startswith("/dev/video0: this user may not open it")

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from agent.capture import devices
from agent.capture.choose import Choice
from agent.capture.source import PermanentCaptureError, TemporaryCaptureError
from agent.config import CameraConfig
from tests.kit import clips


def test_auto_without_a_camera_is_the_pattern_and_says_why() -> None:
    assert devices.cameras() == [], "this test is for machines without a camera"

    source, why = Choice(CameraConfig())()

    assert source.name == "pattern 1280x720 at 30 fps, libx264"
    assert why == (
        "auto: no camera found (picamera2 is not installed, no /dev/video* is a camera), so the test pattern"
    )


def test_auto_takes_the_first_camera_that_there_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(devices, "cameras", lambda: [Path("/dev/video2"), Path("/dev/video4")])

    source, why = Choice(CameraConfig(fps=15))()

    assert source.name == "v4l2 video2 1280x720 at 15 fps"
    assert why == "auto: v4l2 video2 1280x720 at 15 fps, the first V4L2 camera"


def test_auto_that_had_a_camera_waits_for_it_and_never_shows_the_pattern_instead(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    choice = Choice(CameraConfig())
    monkeypatch.setattr(devices, "cameras", lambda: [Path("/dev/video2")])
    choice()

    monkeypatch.setattr(devices, "cameras", list)
    with pytest.raises(TemporaryCaptureError, match="plug one in"):
        choice()
    monkeypatch.setattr(devices, "cameras", lambda: [Path("/dev/video0")])
    assert choice()[0].name.startswith("v4l2 video0 ")


def test_each_kind_is_made_by_its_name(tmp_path: Path) -> None:
    path = clips.remuxed(tmp_path / "a:b.mp4", pictures=2)

    assert Choice(CameraConfig(source="pattern", fps=10))()[1] == "pattern 1280x720 at 10 fps, libx264: as configured"
    assert Choice(CameraConfig(source=f"clip:{path}"))()[0].name.startswith("clip a:b.mp4")
    assert Choice(CameraConfig(source="v4l2:/dev/video9"))()[0].name.startswith("v4l2 video9 ")


def test_a_kind_that_cannot_be_had_is_an_error_and_never_another_camera() -> None:
    with pytest.raises(PermanentCaptureError, match="picamera2 is not installed"):
        Choice(CameraConfig(source="picamera"))()
    with pytest.raises(TemporaryCaptureError, match="plug one in"):
        Choice(CameraConfig(source="v4l2"))()
    with pytest.raises(PermanentCaptureError, match="no such file"):
        Choice(CameraConfig(source="clip:/nowhere.mp4"))()


def test_ffmpeg_is_loaded_only_when_a_source_needs_it() -> None:
    script = (
        "import sys, agent.capture.choose, agent.capture.camera; loaded = set(sys.modules)\n"
        "assert not {'av', 'picamera2'} & loaded, loaded\n"
        "agent.capture.choose.Choice(agent.config.CameraConfig(source='pattern'))(); assert 'av' in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True, cwd=Path(__file__).parents[3], timeout=30)

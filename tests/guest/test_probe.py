"""`camward probe` where there is a real camera: it is seen, described, and what the agent would take."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from agent.capture import devices
from agent.capture.v4l2 import V4l2
from agent.config import CameraConfig
from tests.agent.probe.test_probe import (  # noqa: F401  # collected here, with the fixtures below
    NOWHERE,
    camward,
    test_a_node_is_described_as_v4l2_ctl_describes_it,
    test_every_video_node_is_named_and_those_that_are_cameras_are_called_so,
    test_it_chooses_what_the_agent_chooses_and_its_exit_code_says_whether_that_is_real,
)

pytestmark = [pytest.mark.guest, pytest.mark.timeout(300)]


@pytest.fixture
def done(camera_path: Path) -> subprocess.CompletedProcess[str]:
    return camward("--json", "--quick", "--config", NOWHERE)


@pytest.fixture
def said(done: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(done.stdout)
    assert document["choice"]["source"].startswith("v4l2 video")
    return document


def test_it_says_in_which_mode_the_camera_would_be_taken_and_who_encodes_then(said: dict[str, Any]) -> None:
    chosen = V4l2(CameraConfig(), devices.cameras()[0]).mode()

    assert (said["choice"]["mode"], said["choice"]["encoder"]) == (chosen.why, "libx264")
    assert "raw, which needs no decoding" in chosen.why

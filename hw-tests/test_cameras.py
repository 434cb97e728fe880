"""The contract of every Source, on the cameras that this board really has.

    python -m pytest hw-tests

Each V4L2 camera, and the first camera that libcamera sees where picamera2 is installed. A board without any says so.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable

import pytest

from agent.capture import devices
from agent.capture.choose import Choice
from agent.capture.source import Source
from agent.config import CameraConfig
from tests.agent.capture.test_contract import (  # noqa: F401  # collected here, with the fixtures below
    test_a_keyframe_comes_within_three_pictures_of_the_request,
    test_a_new_bitrate_leaves_no_gap,
    test_a_new_source_runs_after_the_old_one_stopped,
    test_a_source_stopped_before_its_run_returns_at_once_without_a_picture,
    test_stop_ends_the_run_and_leaves_nothing_open,
    test_the_first_picture_comes_soon_as_a_keyframe_with_its_parameter_sets,
    test_what_comes_is_annex_b_that_decodes_to_every_picture,
)


def _sources() -> list[str]:
    libcamera = ["picamera"] if importlib.util.find_spec("picamera2") else []
    return libcamera + [f"v4l2:{device}" for device in devices.cameras()]


@pytest.fixture(params=_sources() or ["none"])
def make(request: pytest.FixtureRequest) -> Callable[[], Source]:
    if request.param == "none":
        pytest.skip("this board has no camera: picamera2 is not installed, and no /dev/video* is one")
    return lambda: Choice(CameraConfig(source=request.param))()[0]

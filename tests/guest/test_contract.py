"""The whole contract of every Source, on V4L2 with a real driver: raw pictures, encoded by libx264."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from agent.capture.source import Source
from agent.capture.v4l2 import V4l2
from agent.config import CameraConfig
from tests.agent.capture.test_contract import (  # noqa: F401  # collected here, with the fixtures below
    test_a_keyframe_comes_within_three_pictures_of_the_request,
    test_a_new_bitrate_leaves_no_gap,
    test_a_new_source_runs_after_the_old_one_stopped,
    test_a_source_stopped_before_its_run_returns_at_once_without_a_picture,
    test_a_sub_stream_begins_with_a_keyframe_and_has_the_same_pictures_smaller,
    test_pts_rises_strictly_at_the_nominal_rate_and_keeps_to_the_clock,
    test_stop_ends_the_run_and_leaves_nothing_open,
    test_the_first_picture_comes_soon_as_a_keyframe_with_its_parameter_sets,
    test_what_comes_is_annex_b_that_decodes_to_every_picture,
    test_what_is_asked_of_one_stream_does_not_touch_the_other,
    test_who_has_no_sub_stream_goes_on_with_the_main_one_when_two_are_wanted,
)

pytestmark = [pytest.mark.guest, pytest.mark.timeout(300)]

CONFIG = CameraConfig(source="v4l2", width=320, height=180, fps=25, bitrate_bps=500_000)


@pytest.fixture
def kind() -> str:
    return "v4l2"


@pytest.fixture
def make(camera_path: Path) -> Callable[[], Source]:
    return lambda: V4l2(CONFIG, camera_path)


@pytest.fixture
def with_sub(make: Callable[[], Source]) -> Source:
    return make()

"""The contract of every Source, on the cameras that this board really has, or on those that --source names."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from agent.capture.choose import Choice
from agent.capture.source import Source
from agent.config import CameraConfig
from tests.agent.capture.test_contract import (  # noqa: F401  # collected here, with the fixture below
    test_a_keyframe_comes_within_three_pictures_of_the_request,
    test_a_new_bitrate_leaves_no_gap,
    test_a_new_source_runs_after_the_old_one_stopped,
    test_a_source_stopped_before_its_run_returns_at_once_without_a_picture,
    test_stop_ends_the_run_and_leaves_nothing_open,
    test_the_first_picture_comes_soon_as_a_keyframe_with_its_parameter_sets,
    test_what_comes_is_annex_b_that_decodes_to_every_picture,
    test_who_has_no_sub_stream_goes_on_with_the_main_one_when_two_are_wanted,
)


@pytest.fixture
def make(source: str) -> Callable[[], Source]:
    return lambda: Choice(CameraConfig(source=source))()[0]

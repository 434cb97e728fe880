"""The contract of every Source, on picamera2 and libcamera's virtual camera: in software and as by a chip.

Left out: test_pts_rises_strictly_at_the_nominal_rate_and_keeps_to_the_clock. The virtual cameras have no rate of their
own, so that it would only find the pace that workarounds.py gives them.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest

from agent.capture.picamera import Picamera
from agent.capture.source import Source
from agent.config import CameraConfig
from tests.agent.capture.test_contract import (  # noqa: F401  # collected here, with the fixtures below
    test_a_keyframe_comes_within_three_pictures_of_the_request,
    test_a_new_bitrate_leaves_no_gap,
    test_a_new_source_runs_after_the_old_one_stopped,
    test_a_source_stopped_before_its_run_returns_at_once_without_a_picture,
    test_a_sub_stream_begins_with_a_keyframe_and_has_the_same_pictures_smaller,
    test_stop_ends_the_run_and_leaves_nothing_open,
    test_the_first_picture_comes_soon_as_a_keyframe_with_its_parameter_sets,
    test_what_comes_is_annex_b_that_decodes_to_every_picture,
    test_what_is_asked_of_one_stream_does_not_touch_the_other,
    test_who_has_no_sub_stream_goes_on_with_the_main_one_when_two_are_wanted,
)
from tests.agent.capture.watching import watched
from tests.board import chip

pytestmark = pytest.mark.board
CONFIG = CameraConfig(source="picamera:Virtual0", width=640, height=360, fps=30, bitrate_bps=1_000_000)


@pytest.fixture(params=["libx264", "the board's encoder"], autouse=True)
def encoder(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    if request.param != "libx264":
        chip.fit(monkeypatch)
    return str(request.param)


@pytest.fixture
def make() -> Callable[[], Source]:
    return lambda: Picamera(CONFIG, "Virtual0")


@pytest.fixture
def with_sub() -> Source:
    return Picamera(CONFIG, "Virtual0")


def test_the_encoder_is_said_in_the_sources_name(encoder: str) -> None:
    with watched(Picamera(CONFIG, "Virtual0")) as watch:
        watch.wait(lambda units: len(units) >= 1, within_s=20)
    assert watch.source.name == f"picamera Bars 640x360 at 30 fps, {encoder}"

"""The choice among what cameras offer: lists after those of real ones, as `v4l2-ctl --list-formats-ext` prints them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.capture.modes import RAW, Mode, choose, kind_of
from tests.agent.capture.webcam import recorded


@pytest.mark.parametrize(
    ("camera", "wanted", "why"),
    [
        ("c920", (1280, 720, 30), "H264 1280x720 at 30 fps, the camera's own H.264"),
        ("c920", (1920, 1080, 30), "H264 1920x1080 at 30 fps, the camera's own H.264"),
        (
            "c920",
            (2304, 1536, 2),
            "YUYV 2304x1536 at 2 fps, raw, which needs no decoding",
        ),
        ("c270", (640, 480, 30), "YUYV 640x480 at 30 fps, raw, which needs no decoding"),
        ("c270", (1280, 720, 30), "MJPG 1280x720 at 30 fps, because raw reaches 7.5 fps"),
        ("c270", (1280, 720, 5), "YUYV 1280x720 at 5 fps, raw, which needs no decoding"),
        (
            "c270",
            (1920, 1080, 30),
            "MJPG 1280x720 at 30 fps, because raw reaches 7.5 fps; the nearest that it has to 1920x1080",
        ),
        (
            "c270",
            (640, 480, 60),
            "YUYV 640x480 at 30 fps, raw, which needs no decoding; 60 fps is not among its rates",
        ),
        ("capture-stick", (1920, 1080, 30), "MJPG 1920x1080 at 30 fps, because raw reaches 5 fps"),
        ("capture-stick", (1280, 720, 60), "MJPG 1280x720 at 60 fps, because raw reaches 10 fps"),
        (
            "capture-stick",
            (640, 480, 25),
            "YUYV 640x480 at 30 fps, raw, which needs no decoding; 25 fps is not among its rates",
        ),
        ("pi-camera", (1280, 720, 30), "H264 1280x720 at 30 fps, the camera's own H.264"),
        (
            "pi-camera",
            (4056, 3040, 30),
            "H264 2592x1944 at 30 fps, the camera's own H.264; the nearest that it has to 4056x3040",
        ),
    ],
)
def test_each_camera_is_taken_in_the_mode_that_costs_least(camera: str, wanted: tuple[int, int, int], why: str) -> None:
    width, height, _ = wanted
    chosen = choose(recorded(camera, width, height), *wanted)

    assert chosen is not None
    assert chosen.why == why
    assert why.startswith(f"{chosen.fourcc} {chosen.width}x{chosen.height} at {chosen.fps:.4g} fps")


def test_a_large_picture_at_a_slide_shows_rate_is_not_taken_before_a_smaller_one_that_moves() -> None:
    chosen = choose([Mode("YUYV", 1920, 1080, (5,)), Mode("YUYV", 1280, 720, (30,))], 1920, 1080, 30)

    assert chosen is not None
    assert (chosen.width, chosen.fps) == (1280, 30)


@pytest.mark.parametrize(
    ("camera", "wanted", "why"),
    [
        (
            "c920",
            (1280, 720, 30),
            "MJPG 1280x720 at 30 fps, because raw reaches 10 fps; its own H.264 began with no keyframe",
        ),
        (
            "c920",
            (640, 480, 30),
            "YUYV 640x480 at 30 fps, raw, which needs no decoding; its own H.264 began with no keyframe",
        ),
    ],
)
def test_h264_that_began_with_no_keyframe_goes_last(camera: str, wanted: tuple[int, int, int], why: str) -> None:
    chosen = choose(recorded(camera, *wanted[:2]), *wanted, h264_last=True)

    assert chosen is not None
    assert chosen.why == why


def test_h264_that_began_with_no_keyframe_is_taken_where_there_is_nothing_else() -> None:
    chosen = choose([Mode("H264", 640, 480, (30,)), Mode("BA81", 640, 480, (30,))], 640, 480, 30, h264_last=True)

    assert chosen is not None
    assert chosen.why == "H264 640x480 at 30 fps, the camera's own H.264; it offers nothing else"


def test_a_camera_whose_formats_mean_nothing_here_gives_no_choice() -> None:
    assert choose([], 640, 480, 30) is None
    assert choose([Mode("BA81", 640, 480, (30,)), Mode("YUYV", 641, 480, (30,))], 640, 480, 30) is None


_SIDES = st.integers(1, 5000)
_RATES = st.lists(st.floats(0.1, 240), max_size=6).map(tuple)
_FOURCCS = st.sampled_from(["H264", "MJPG", "JPEG", "BA81", *RAW])


def _listed(modes: list[Mode]) -> Iterator[tuple[str, int, int]]:
    return ((mode.fourcc, mode.width, mode.height) for mode in modes)


@given(st.lists(st.builds(Mode, _FOURCCS, _SIDES, _SIDES, _RATES)), _SIDES, _SIDES, st.integers(1, 120))
def test_only_what_is_offered_is_chosen_and_the_wanted_is_when_it_is_there(
    modes: list[Mode], width: int, height: int, fps: int
) -> None:
    chosen = choose(modes, width, height, fps)
    exact = choose([*modes, Mode("H264", width, height, (float(fps),))], width, height, fps)

    assert exact is not None
    assert (exact.fourcc, exact.width, exact.height, exact.fps) == ("H264", width, height, fps)
    if chosen is not None:
        assert (chosen.fourcc, chosen.width, chosen.height) in set(_listed(modes))
        assert kind_of(chosen.fourcc) == "h264" or chosen.width % 2 == chosen.height % 2 == 0

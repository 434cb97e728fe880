"""The figures of a call."""

from __future__ import annotations

from viewer.figures import Figures
from viewer.reassembly import Unit


def watched(seconds: int, fps: int = 30, size: int = 1000) -> Figures:
    """A call begun at 100 s whose pictures begin at 100.5 s."""
    figures = Figures(100.0)
    figures.size = (1280, 720)
    for index in range(seconds * fps):
        unit = Unit(data=bytes(size), ticks=index * 90_000 // fps, keyframe=index == 0)
        figures.picture(unit, 100.5 + index / fps)
    return figures


def test_the_summary_goes_by_the_clock_of_the_camera() -> None:
    summary = watched(4).summary(packets_lost=2)

    assert (summary.frames, summary.bytes, summary.duration_s) == (120, 120_000, 4.0)
    assert (summary.width, summary.height) == (1280, 720)
    assert summary.fps == 30.0
    assert summary.bitrate_bps == 240_000
    assert summary.packets_lost == 2
    assert summary.time_to_first_picture_ms == 500


def test_a_call_without_pictures_has_no_figures_that_were_not_measured() -> None:
    summary = Figures(100.0).summary(packets_lost=0)

    assert summary.frames == 0
    assert summary.fps is summary.bitrate_bps is summary.width is summary.time_to_first_picture_ms is None


def test_each_line_says_what_happened_since_the_one_before() -> None:
    figures = watched(2)

    assert figures.line(102.5, 0) == "    2 s  1280x720  30.0 fps   0.24 Mbit/s  0 packets lost"
    assert figures.line(103.5, 3) == "    3 s  1280x720   0.0 fps   0.00 Mbit/s  3 packets lost"

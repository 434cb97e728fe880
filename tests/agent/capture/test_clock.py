"""Timestamps of cameras, with what cameras do to them."""

from __future__ import annotations

from fractions import Fraction

import av
import pytest

from agent.capture.clock import Clock


def _said(stamps: list[int | None], came_s: list[float]) -> list[int]:
    """Pictures with timestamps of 90 kHz, and when each came."""
    times = iter(came_s)
    clock = Clock(lambda: next(times))
    said = []
    for stamp in stamps:
        picture = av.Packet(b"x")
        picture.pts, picture.time_base = stamp, Fraction(1, 90_000)
        said.append(clock.pts_us(picture))
    return said


def test_timestamps_count_and_not_when_a_picture_came() -> None:
    assert _said([7_000, 10_600, 14_200], [5.0, 5.1, 5.11]) == [0, 40_000, 80_000]


def test_a_picture_without_one_is_as_much_later_as_it_came_later() -> None:
    assert _said([None, 3_600, None, 10_800], [5.0, 5.03, 5.08, 5.12]) == [0, 30_000, 80_000, 110_000]


@pytest.mark.parametrize("leap", [-90_000 * 3600, 90_000 * 3600])
def test_a_clock_that_is_set_anew_goes_on_from_what_has_passed(leap: int) -> None:
    first = 90_000 * 10_000
    stamps: list[int | None] = [first, first + 3_600, first + 7_200 + leap, first + 10_800 + leap]
    assert _said(stamps, [5.0, 5.04, 5.08, 5.12]) == [0, 40_000, 80_000, 120_000]


def test_a_pause_is_a_pause() -> None:
    assert _said([0, 90_000 * 10], [5.0, 15.1]) == [0, 10_000_000]

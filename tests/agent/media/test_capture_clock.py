from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.media.capture_clock import CaptureClock

_PERIOD_US = 33_333


def test_a_picture_that_came_at_once_was_taken_just_now() -> None:
    assert CaptureClock().captured_at(0, 50.0) == 50.0


def test_a_delayed_arrival_does_not_move_the_time_it_was_taken() -> None:
    clock = CaptureClock()
    for index in range(30):
        late_s = 0.2 if index == 20 else 0.0
        captured_at = clock.captured_at(index * _PERIOD_US, 50.0 + index * _PERIOD_US / 1e6 + late_s)

        assert captured_at == pytest.approx(50.0 + index * _PERIOD_US / 1e6, abs=1e-3)


def test_the_quickest_arrival_tells_what_delay_there_was_before() -> None:
    clock = CaptureClock()

    assert clock.captured_at(0, 50.1) == 50.1
    assert clock.captured_at(100_000, 50.12) == pytest.approx(50.12)
    assert clock.captured_at(200_000, 50.30) == pytest.approx(50.22, abs=1e-3)


@pytest.mark.parametrize("drift", [-0.0001, 0.0, 0.0001])
def test_a_clock_that_drifts_is_followed(drift: float) -> None:
    clock, chance = CaptureClock(), random.Random(1)  # noqa: S311  # the same noise in every run
    for index in range(30 * 3600):  # an hour, in which the clocks come 0.36 seconds apart
        taken_at = index / 30
        delay_s = chance.choice([0.0, 0.002, 0.005, 0.03])
        captured_at = clock.captured_at(round(taken_at * (1 + drift) * 1e6), 1000.0 + taken_at + delay_s)

        assert captured_at == pytest.approx(1000.0 + taken_at, abs=0.010 if index > 30 else 0.03)


def test_a_source_whose_timestamps_jump_ahead_is_believed_at_once() -> None:
    clock = CaptureClock()
    clock.captured_at(0, 50.0)

    assert clock.captured_at(10_000_000, 50.1) == pytest.approx(50.1)


@given(st.lists(st.tuples(st.integers(0, 10**7), st.floats(0, 10)), min_size=1, max_size=50))
def test_no_picture_was_taken_in_the_future(steps: list[tuple[int, float]]) -> None:
    clock, pts_us, now = CaptureClock(), 0, 1000.0
    for step_us, step_s in steps:
        pts_us += step_us
        now += step_s

        assert clock.captured_at(pts_us, now) <= now + 1e-6

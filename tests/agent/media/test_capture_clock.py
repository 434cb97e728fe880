from __future__ import annotations

import random

import pytest

from agent.media.capture_clock import CaptureClock


def test_a_picture_that_is_late_was_not_taken_later() -> None:
    clock = CaptureClock()
    clock.captured_at(0, 10.0)

    assert clock.captured_at(33_333, 10.0 + 0.033 + 0.2) == pytest.approx(10.033, abs=0.001)
    assert clock.captured_at(66_667, 10.0 + 0.067) == pytest.approx(10.067, abs=0.001)


def test_a_first_picture_that_was_late_is_made_good_by_the_next() -> None:
    clock = CaptureClock()
    clock.captured_at(0, 10.5)

    assert clock.captured_at(33_333, 10.033) == pytest.approx(10.033, abs=0.001)


def test_a_clock_that_drifts_is_followed() -> None:
    clock, dice = CaptureClock(), random.Random(1)  # noqa: S311 - keeps no secret
    for index in range(30 * 600):
        taken = index / 30
        captured = clock.captured_at(round(taken * 0.9999 * 1e6), taken + dice.uniform(0, 0.01))

    assert captured == pytest.approx(taken, abs=0.02)


def test_nothing_was_taken_in_the_future() -> None:
    clock, dice = CaptureClock(), random.Random(2)  # noqa: S311 - keeps no secret
    for index in range(1_000):
        now = index / 30 + dice.uniform(0, 0.1)
        assert clock.captured_at(index * 33_333, now) <= now + 1e-9

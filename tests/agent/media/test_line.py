"""A line through the last points, beside what the standard library makes of them."""

from __future__ import annotations

from statistics import linear_regression

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.media.line import Line

steps = st.lists(st.tuples(st.floats(5, 200), st.floats(-50, 50)), min_size=2, max_size=90)


@given(steps, st.floats(0, 1e9))
def test_the_slope_is_that_of_least_squares_through_the_last_points(
    made: list[tuple[float, float]], begins: float
) -> None:
    line, points, x = Line(20), list[tuple[float, float]](), begins
    for step, y in made:
        x += step
        line.add(x, y)
        points = [*points, (x, y)][-20:]
        assert len(line) == len(points)
        if len(points) > 1:
            exact = linear_regression([at - begins for at, _ in points], [y for _, y in points]).slope
            assert line.slope() == pytest.approx(exact, rel=1e-6, abs=1e-6)


def test_points_at_one_place_have_no_slope() -> None:
    line = Line(20)
    for y in range(5):
        line.add(7.0, y)

    assert line.slope() == 0.0


def test_after_days_the_slope_is_as_exact_as_at_first() -> None:
    line = Line(20)
    for number in range(3_000_000 // 10):
        line.add(1e9 + number * 330.0, number * 0.33)

    assert line.slope() == pytest.approx(0.001, rel=1e-6)

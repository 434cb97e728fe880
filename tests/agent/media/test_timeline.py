from __future__ import annotations

import itertools

from hypothesis import given
from hypothesis import strategies as st

from agent.media.access_unit import AccessUnit, StreamName
from agent.media.timeline import Timeline


def _unit(pts_us: int, stream: StreamName = "main") -> AccessUnit:
    return AccessUnit(units=(b"\x41",), pts_us=pts_us, keyframe=False, stream=stream)


def test_a_source_that_starts_again_goes_on_where_the_clock_says() -> None:
    timeline = Timeline()
    timeline.restarted()
    first = [timeline.rebased(_unit(0), 10.0), timeline.rebased(_unit(33_333), 10.1)]

    timeline.restarted()
    second = [timeline.rebased(_unit(0), 15.1), timeline.rebased(_unit(33_333), 15.2)]

    assert [unit.pts_us for unit in first + second] == [0, 33_333, 5_033_333, 5_066_666]


def test_both_streams_of_a_picture_keep_one_time() -> None:
    timeline = Timeline()
    timeline.rebased(_unit(70_000), 1.0)
    timeline.restarted()

    main = timeline.rebased(_unit(0), 2.0)
    sub = timeline.rebased(_unit(0, "sub"), 2.01)

    assert main.pts_us == sub.pts_us == 1_070_000
    assert sub.stream == "sub"


run_of_a_source = st.lists(st.integers(1, 10**6), min_size=1, max_size=5)


@given(st.lists(run_of_a_source, min_size=1, max_size=5), st.floats(0, 100))
def test_pts_rises_strictly_over_all_restarts(runs: list[list[int]], gap_s: float) -> None:
    timeline, now, seen = Timeline(), 0.0, list[int]()
    for steps in runs:
        timeline.restarted()
        pts_us = 0
        for step_us in steps:
            seen.append(timeline.rebased(_unit(pts_us), now).pts_us)
            pts_us += step_us
            now += gap_s

    assert len(seen) == sum(map(len, runs))
    assert all(before < after for before, after in itertools.pairwise(seen))

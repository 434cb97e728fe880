from __future__ import annotations

import itertools

from hypothesis import given
from hypothesis import strategies as st

from agent.media.access_unit import AccessUnit
from agent.media.feed import BOUND
from agent.media.stream import KEYFRAME_QUIET_S, Stream


class Encoder:
    """What a stream asks for, written down."""

    def __init__(self) -> None:
        self.asked = 0
        self.stream = Stream(ask=self._ask)

    def _ask(self) -> None:
        self.asked += 1


def _silent() -> None:
    pass


def _unit(pts_us: int, *, keyframe: bool = False) -> AccessUnit:
    return AccessUnit(data=b"\x00\x00\x00\x01\x41", pts_us=pts_us, keyframe=keyframe)


def test_every_viewer_gets_every_picture_until_it_leaves() -> None:
    encoder = Encoder()
    one, two = encoder.stream.subscribe(_silent), encoder.stream.subscribe(_silent)

    encoder.stream.publish(_unit(0, keyframe=True), 0.0)
    encoder.stream.unsubscribe(one)
    encoder.stream.unsubscribe(one)
    encoder.stream.publish(_unit(1), 0.03)

    assert one.closed
    assert [unit.pts_us for unit in iter(two.pop, None)] == [0, 1]
    assert encoder.stream.viewers == 1


def test_however_many_ask_the_encoder_is_asked_once_in_the_quiet_time() -> None:
    encoder = Encoder()
    for _ in range(10):
        encoder.stream.request_keyframe("pli", 1.0)

    assert encoder.asked == encoder.stream.keyframes_asked == 1
    assert encoder.stream.keyframe_causes == {"pli": 10}


def test_a_request_in_the_quiet_time_goes_out_after_it() -> None:
    encoder = Encoder()
    encoder.stream.request_keyframe("pli", 1.0)
    encoder.stream.publish(_unit(0, keyframe=True), 1.1)
    encoder.stream.request_keyframe("pli", 1.2)

    encoder.stream.publish(_unit(1), 1.0 + KEYFRAME_QUIET_S - 0.01)
    assert encoder.asked == 1
    encoder.stream.publish(_unit(2), 1.0 + KEYFRAME_QUIET_S)
    encoder.stream.publish(_unit(3), 3.0)
    assert encoder.asked == 2


def test_a_keyframe_that_comes_in_the_quiet_time_answers_the_remembered_request() -> None:
    encoder = Encoder()
    encoder.stream.request_keyframe("pli", 1.0)
    encoder.stream.request_keyframe("pli", 1.1)

    encoder.stream.publish(_unit(0, keyframe=True), 1.2)
    encoder.stream.publish(_unit(1), 2.0)

    assert encoder.asked == 1


def test_a_viewer_that_joins_a_running_stream_gets_its_keyframe_at_once() -> None:
    encoder = Encoder()
    encoder.stream.subscribe(_silent)
    encoder.stream.publish(_unit(0, keyframe=True), 1.0)
    assert encoder.asked == 0  # a source that starts begins with a keyframe by itself

    encoder.stream.subscribe(_silent)

    assert encoder.asked == 1
    assert encoder.stream.keyframe_causes == {"join": 2}


def test_a_viewer_that_falls_behind_costs_one_request_and_leaves_the_others_alone() -> None:
    encoder = Encoder()
    slow, quick = encoder.stream.subscribe(_silent), encoder.stream.subscribe(_silent)
    for index in range(BOUND + 5):
        encoder.stream.publish(_unit(index, keyframe=index == 0), index / 30)
        assert quick.pop() is not None

    assert encoder.stream.keyframe_causes == {"join": 2, "overflow": 1}
    assert encoder.asked == 1
    assert slow.pop() is None
    assert slow.dropped == BOUND + 5
    assert quick.dropped == 0


def test_a_source_that_starts_again_goes_on_where_the_clock_says() -> None:
    encoder = Encoder()
    feed = encoder.stream.subscribe(_silent)
    encoder.stream.publish(_unit(0, keyframe=True), 10.0)
    encoder.stream.publish(_unit(33_333), 10.1)

    encoder.stream.publish(_unit(0, keyframe=True), 15.1)
    encoder.stream.publish(_unit(33_333), 15.2)

    assert [unit.pts_us for unit in iter(feed.pop, None)] == [0, 33_333, 5_033_333, 5_066_666]


run_of_a_source = st.lists(st.integers(1, 10**6), min_size=1, max_size=5)


@given(st.lists(run_of_a_source, min_size=1, max_size=5), st.floats(0, 100))
def test_pts_rises_strictly_over_all_restarts(runs: list[list[int]], gap_s: float) -> None:
    encoder = Encoder()
    feed = encoder.stream.subscribe(_silent)
    now, seen = 0.0, []
    for steps in runs:
        pts_us = 0
        for step_us in steps:
            encoder.stream.publish(_unit(pts_us, keyframe=True), now)
            seen += [unit.pts_us for unit in iter(feed.pop, None)]
            pts_us += step_us
            now += gap_s

    assert len(seen) == sum(map(len, runs))
    assert all(before < after for before, after in itertools.pairwise(seen))

from __future__ import annotations

from collections.abc import Callable

from hypothesis import given
from hypothesis import strategies as st

from agent.media.access_unit import AccessUnit
from agent.media.feed import BOUND, Feed
from agent.media.packetize import Packetized


def _unit(pts_us: int, *, keyframe: bool = False) -> Packetized:
    unit = AccessUnit(units=(b"\x41",), pts_us=pts_us, keyframe=keyframe)
    return Packetized(unit, timestamp=0, captured_at=0.0, published_at=0.0)


def _drained(feed: Feed) -> list[int]:
    return [packetized.unit.pts_us for packetized in iter(feed.pop, None)]


def test_a_viewer_starts_on_a_keyframe() -> None:
    feed = Feed()

    assert not feed.push(_unit(1))
    feed.push(_unit(2, keyframe=True))
    feed.push(_unit(3))

    assert _drained(feed) == [2, 3]
    assert feed.dropped == 1


def test_a_viewer_that_falls_behind_waits_for_the_next_keyframe() -> None:
    feed = Feed(bound=3)
    for pts_us in range(3):
        assert not feed.push(_unit(pts_us, keyframe=pts_us == 0))

    assert feed.push(_unit(3))
    assert feed.pop() is None
    assert not feed.push(_unit(4))
    feed.push(_unit(5, keyframe=True))
    feed.push(_unit(6))

    assert _drained(feed) == [5, 6]
    assert feed.dropped == 5


def test_a_keyframe_that_overflows_the_queue_starts_it_again_at_once() -> None:
    feed = Feed(bound=2)
    feed.push(_unit(0, keyframe=True))
    feed.push(_unit(1))

    assert not feed.push(_unit(2, keyframe=True))
    assert _drained(feed) == [2]
    assert feed.dropped == 2


def test_a_viewer_that_is_made_to_skip_loses_what_waits_and_starts_on_a_keyframe() -> None:
    feed = Feed()
    feed.push(_unit(0, keyframe=True))
    feed.push(_unit(1))
    assert len(feed) == 2

    feed.skip()
    feed.push(_unit(2))
    feed.push(_unit(3, keyframe=True))

    assert _drained(feed) == [3]
    assert feed.dropped == 3


def _play(feed: Feed, steps: list[str], took: Callable[[Packetized], None]) -> int:
    pushed = 0
    for step in steps:
        if step == "pop":
            unit = feed.pop()
            if unit is not None:
                took(unit)
        else:
            feed.push(_unit(pushed, keyframe=step == "keyframe"))
            pushed += 1
    return pushed


@given(st.lists(st.sampled_from(["pop", "picture", "picture", "picture", "keyframe"]), max_size=300))
def test_no_picture_is_shown_after_a_lost_one_without_a_keyframe_and_every_loss_is_counted(steps: list[str]) -> None:
    feed, taken = Feed(), list[Packetized]()

    pushed = _play(feed, steps, taken.append)
    queued = list(iter(feed.pop, None))
    assert len(queued) <= BOUND
    shown = taken + queued

    assert pushed == len(shown) + feed.dropped
    last = -1
    for unit in shown:
        assert unit.unit.keyframe or (last >= 0 and unit.unit.pts_us == last + 1)
        last = unit.unit.pts_us

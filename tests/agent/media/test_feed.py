from __future__ import annotations

from collections.abc import Callable

from hypothesis import given
from hypothesis import strategies as st

from agent.media.access_unit import AccessUnit
from agent.media.feed import BOUND, Feed


def _silent() -> None:
    pass


def _unit(pts_us: int, *, keyframe: bool = False) -> AccessUnit:
    return AccessUnit(data=b"\x00\x00\x00\x01\x41", pts_us=pts_us, keyframe=keyframe)


def _drained(feed: Feed) -> list[int]:
    return [unit.pts_us for unit in iter(feed.pop, None)]


def test_a_viewer_starts_on_a_keyframe() -> None:
    feed = Feed(_silent)

    assert not feed.push(_unit(1))
    feed.push(_unit(2, keyframe=True))
    feed.push(_unit(3))

    assert _drained(feed) == [2, 3]
    assert feed.dropped == 1


def test_a_viewer_that_falls_behind_waits_for_the_next_keyframe() -> None:
    feed = Feed(_silent, bound=3)
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
    feed = Feed(_silent, bound=2)
    feed.push(_unit(0, keyframe=True))
    feed.push(_unit(1))

    assert not feed.push(_unit(2, keyframe=True))
    assert _drained(feed) == [2]
    assert feed.dropped == 2


def test_the_sender_is_woken_once_for_an_empty_queue_and_once_at_the_close() -> None:
    woken: list[str] = []
    feed = Feed(lambda: woken.append("woken"))

    feed.push(_unit(0))
    assert woken == []
    feed.push(_unit(1, keyframe=True))
    feed.push(_unit(2))
    assert len(woken) == 1
    assert _drained(feed) == [1, 2]
    feed.push(_unit(3))
    assert len(woken) == 2
    feed.close()
    feed.close()
    assert len(woken) == 3


def test_a_closed_feed_gives_and_takes_nothing() -> None:
    feed = Feed(_silent)
    feed.push(_unit(0, keyframe=True))

    feed.close()

    assert feed.closed
    assert not feed.push(_unit(1, keyframe=True))
    assert feed.pop() is None


def _play(feed: Feed, steps: list[str], took: Callable[[AccessUnit], None]) -> int:
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
    feed, taken = Feed(_silent), list[AccessUnit]()

    pushed = _play(feed, steps, taken.append)
    queued = list(iter(feed.pop, None))
    assert len(queued) <= BOUND
    shown = taken + queued

    assert pushed == len(shown) + feed.dropped
    last = -1
    for unit in shown:
        assert unit.keyframe or (last >= 0 and unit.pts_us == last + 1)
        last = unit.pts_us

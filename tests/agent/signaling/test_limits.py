"""Buckets: so many at once, so many a second, and who has cost too much waits."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from agent.rates import Bucket, Rate
from agent.signaling.limits import MOST_VIEWERS, STRANGERS_CPU_S, Strangers, Viewers

SLOW = Rate(burst=3, per_s=0.5)


def taken(bucket: Bucket, now: float) -> bool:
    if not bucket.has(now):
        return False
    bucket.spend()
    return True


def test_a_bucket_gives_its_burst_and_then_its_rate() -> None:
    bucket = Bucket(SLOW, 0.0)

    assert [taken(bucket, 0.0) for _ in range(4)] == [True, True, True, False]
    assert not taken(bucket, 1.9)
    assert taken(bucket, 2.0)
    assert not taken(bucket, 2.0)


@given(st.lists(st.floats(0, 10), max_size=60))
def test_no_bucket_gives_more_than_its_burst_and_its_rate(waits: list[float]) -> None:
    bucket, now, count = Bucket(SLOW, 0.0), 0.0, 0
    for wait in waits:
        now += wait
        count += taken(bucket, now)
    assert count <= SLOW.burst + now * SLOW.per_s + 1e-6


def test_a_clock_that_goes_back_gives_nothing() -> None:
    bucket = Bucket(SLOW, 100.0)
    for _ in range(3):
        assert taken(bucket, 100.0)

    assert not taken(bucket, 0.0)
    assert not taken(bucket, 1.0)


def test_a_viewer_who_calls_too_often_waits_and_no_other_does() -> None:
    viewers = Viewers(SLOW)
    for _ in range(3):
        viewers.spend("one", 0.0)

    assert not viewers.may("one", 0.0)
    assert viewers.may("other", 0.0)
    assert viewers.may("one", 2.0)


def test_so_many_viewers_are_remembered_and_no_more() -> None:
    viewers = Viewers(SLOW)
    for number in range(10 * MOST_VIEWERS):
        viewers.spend(str(number), 0.0)

    assert len(viewers._buckets) == MOST_VIEWERS


def test_strangers_are_read_until_they_have_cost_too_much_and_again_a_little_later() -> None:
    strangers = Strangers(0.0)
    strangers.charge(STRANGERS_CPU_S.burst + 0.1)

    assert not strangers.may_read(0.0)
    assert strangers.may_read(0.1 / STRANGERS_CPU_S.per_s + 0.01)


def test_a_chain_that_was_never_seen_is_the_first_to_wait() -> None:
    strangers = Strangers(0.0)
    strangers.charge(STRANGERS_CPU_S.burst * 0.6)

    assert strangers.may_read(0.0)
    assert not strangers.may_meet(0.0)

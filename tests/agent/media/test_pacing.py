from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.media.pacing import AHEAD_S, HEADROOM, HEALTHY_BPS, MOST_LATE_S, STEP_S, Pacer, pace_bps

_PACKET = 1200


def begun(now: float) -> Pacer:
    """Make one that sends its first packets now."""
    pacer = Pacer()
    pacer.begin(now, waited=False)
    return pacer


def _played(pacer: Pacer, sizes: list[int], pace: float, now: float) -> list[tuple[float, int]]:
    """Send packets as early as the pacer lets them go; each with the time it left at."""
    left: list[tuple[float, int]] = []
    pacer.begin(now, waited=False)
    for size in sizes:
        while pacer.room(pace, now) <= 0:
            assert pacer.next_at() > now
            now = pacer.next_at()
            pacer.begin(now, waited=True)
        pacer.sent(size, pace)
        left.append((now, size))
    return left


def test_a_usual_picture_leaves_at_once() -> None:
    pacer = Pacer()

    left = _played(pacer, [_PACKET] * 20, HEALTHY_BPS, 100.0)

    assert {at for at, _ in left} == {100.0}


def test_a_keyframe_of_a_hundred_kilobytes_is_spread_over_twenty_milliseconds() -> None:
    left = _played(Pacer(), [1000] * 100, HEALTHY_BPS, 100.0)

    assert left[-1][0] == pytest.approx(100.0 + 0.020 - AHEAD_S, abs=AHEAD_S / 2)
    by_time = [len(list(group)) for _, group in itertools.groupby(left, key=lambda entry: entry[0])]
    assert max(by_time) * 1000 <= AHEAD_S * HEALTHY_BPS / 8 + 1000


def test_what_may_leave_now_is_said_in_bytes() -> None:
    pacer = begun(5.0)
    assert pacer.room(8_000_000, 5.0) == 5000

    pacer.sent(2000, 8_000_000)

    assert pacer.room(8_000_000, 5.0) == 3000
    assert pacer.room(8_000_000, 5.001) == 4000


def test_one_that_sent_too_much_waits_until_half_of_it_could_leave() -> None:
    pacer = begun(5.0)
    pacer.sent(20_000, 8_000_000)
    assert pacer.room(8_000_000, 5.0) == 0

    assert pacer.next_at() == pytest.approx(5.020 - AHEAD_S / 2)
    assert pacer.room(8_000_000, pacer.next_at()) == pytest.approx(2500, abs=1)


@given(st.floats(1, 1e6), st.integers(1, 100_000))
def test_all_who_wait_are_woken_at_the_same_moments_and_none_has_run_empty(now: float, size: int) -> None:
    pacer = begun(now)
    pacer.sent(size, HEALTHY_BPS)

    steps = pacer.next_at() / STEP_S

    assert steps == pytest.approx(round(steps), abs=1e-3)
    assert HEALTHY_BPS * AHEAD_S / 16 - 1 <= pacer.room(HEALTHY_BPS, pacer.next_at()) <= HEALTHY_BPS * AHEAD_S / 8


def test_a_pause_saves_nothing_up() -> None:
    pacer = begun(5.0)
    pacer.sent(1000, 8_000_000)

    pacer.begin(500.0, waited=False)

    assert pacer.room(8_000_000, 500.0) == 5000


def test_who_is_woken_late_sends_what_would_have_left_meanwhile() -> None:
    pacer = begun(5.0)
    pacer.sent(20_000, 8_000_000)  # it drains until 5.020

    pacer.begin(5.050, waited=True)

    assert pacer.room(8_000_000, 5.050) == pytest.approx(5_000 + 30_000, abs=1)


def test_who_is_woken_very_late_makes_good_no_more_than_its_bound() -> None:
    pacer = begun(5.0)
    pacer.sent(20_000, 8_000_000)

    pacer.begin(9.0, waited=True)

    assert pacer.room(8_000_000, 9.0) == pytest.approx((AHEAD_S + MOST_LATE_S) * 1_000_000, abs=1)


def test_what_lateness_has_left_over_is_gone_with_the_next_pause() -> None:
    pacer = begun(5.0)
    pacer.sent(20_000, 8_000_000)
    pacer.begin(5.050, waited=True)
    pacer.sent(1_000, 8_000_000)  # the last that waited

    pacer.begin(5.060, waited=False)

    assert pacer.room(8_000_000, 5.060) == 5_000


@given(st.floats(0.001, MOST_LATE_S - STEP_S), st.floats(500_000, HEALTHY_BPS))
def test_a_loop_that_is_always_late_keeps_the_pace_all_the_same(late_s: float, pace: float) -> None:
    pacer, began, now, left = begun(100.0), 100.0, 100.0, 0
    while now < began + 5:
        while pacer.room(pace, now) > 0:
            pacer.sent(_PACKET, pace)
            left += _PACKET
        now = pacer.next_at() + late_s
        pacer.begin(now, waited=True)

    assert left * 8 / (now - began) == pytest.approx(pace, rel=0.05)


def test_a_slow_pace_still_lets_a_packet_go_whenever_it_has_waited() -> None:
    left = _played(Pacer(), [_PACKET] * 10, 100_000, 100.0)

    assert [at for at, _ in left] == sorted(at for at, _ in left)
    assert left[-1][0] == pytest.approx(100.0 + 9 * _PACKET * 8 / 100_000, abs=AHEAD_S)


@given(
    st.lists(st.tuples(st.integers(40, 1300), st.floats(0, 0.05)), min_size=1, max_size=200),
    st.floats(100_000, HEALTHY_BPS),
)
def test_over_any_time_no_more_leaves_than_the_pace_allows(packets: list[tuple[int, float]], pace: float) -> None:
    pacer, now, left = Pacer(), 100.0, list[tuple[float, int]]()
    for size, pause_s in packets:
        left += _played(pacer, [size], pace, now)
        now = left[-1][0] + pause_s

    for begin in range(len(left)):
        total = 0
        for at, size in left[begin:]:
            total += size
            allowed = pace / 8 * (at - left[begin][0] + AHEAD_S) + size
            assert total <= allowed + 1


def test_a_viewer_whose_link_takes_the_stream_or_is_not_known_yet_is_paced_lightly() -> None:
    assert pace_bps(None, 4_000_000) == HEALTHY_BPS
    assert pace_bps(4_000_000, 4_000_000) == HEALTHY_BPS


def test_a_weaker_one_is_paced_by_its_rate() -> None:
    assert pace_bps(1_000_000, 4_000_000) == HEADROOM * 1_000_000

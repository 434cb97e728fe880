"""What is sent again, how often, and how much of it."""

from __future__ import annotations

import struct

from hypothesis import given
from hypothesis import strategies as st

from agent.media.resend import KEPT_S, Resends, Sent
from agent.media.rtp import Image

_STRIDE = 1000
_PLENTY_BPS = 1e9


def _image(count: int) -> Image:
    return Image(bytes(_STRIDE * count), count, _STRIDE, struct.pack("i", _STRIDE - 10) * count, timestamp=0)


def _sent(sequence: int, count: int = 10, *, first: int = 0, at: float = 0.0) -> Sent:
    return Sent(sequence, _image(first + count), first, count, timestamp=0, at=at)


def _resent(
    resends: Resends, *lost: int, now: float, round_trip_s: float | None = 0.05, rate_bps: float = _PLENTY_BPS
) -> list[int]:
    """Say which of the lost packets are sent again, by their sequence numbers."""
    found = resends.wanted(lost, round_trip_s=round_trip_s, rate_bps=rate_bps, now=now)
    return [(sent.sequence + index - sent.first) & 0xFFFF for sent, index in found]


def test_a_lost_packet_is_found_in_its_burst() -> None:
    resends, later = Resends(), _sent(110, first=20)
    resends.sent(_sent(100))
    resends.sent(later)

    assert resends.find(113) == (later, 23)


def test_what_was_never_sent_is_not_sent_again() -> None:
    resends = Resends()
    assert _resent(resends, 5, now=1.0) == []

    resends.sent(_sent(100))

    assert _resent(resends, 99, 110, 40_000, now=1.0) == []


@given(st.integers(0, 0xFFFF), st.lists(st.integers(1, 48), min_size=1, max_size=60))
def test_every_packet_is_found_also_where_the_numbers_wrap(first: int, counts: list[int]) -> None:
    resends, sequence, sent = Resends(), first, list[tuple[Sent, int]]()
    for count in counts:
        burst = _sent(sequence & 0xFFFF, count)
        resends.sent(burst)
        sent += [(burst, index) for index in range(count)]
        sequence += count

    assert [resends.find(number & 0xFFFF) for number in range(first, sequence)] == sent
    assert resends.find((first - 1) & 0xFFFF) is None
    assert resends.find(sequence & 0xFFFF) is None


def test_a_packet_is_kept_for_a_second() -> None:
    resends = Resends()
    resends.sent(_sent(0, at=1.0))
    resends.sent(_sent(10, at=1.0 + KEPT_S))
    assert resends.find(0) is not None

    resends.sent(_sent(20, at=1.1 + KEPT_S))

    assert resends.find(0) is None
    assert resends.find(10) is not None


def test_however_often_it_is_asked_for_a_packet_is_sent_again_once_a_round_trip() -> None:
    resends = Resends()
    resends.sent(_sent(0))

    assert _resent(resends, 3, 3, now=1.0, round_trip_s=0.2) == [3]
    assert _resent(resends, 3, now=1.19, round_trip_s=0.2) == []
    assert _resent(resends, 3, 4, now=1.21, round_trip_s=0.2) == [3, 4]


def test_a_round_trip_that_is_unknown_or_next_to_nothing_still_takes_a_moment() -> None:
    resends = Resends()
    resends.sent(_sent(0))

    assert _resent(resends, 1, now=1.0, round_trip_s=None) == [1]
    assert _resent(resends, 1, now=1.09, round_trip_s=None) == []
    assert _resent(resends, 1, now=1.11, round_trip_s=None) == [1]
    assert _resent(resends, 2, now=2.0, round_trip_s=0.0) == [2]
    assert _resent(resends, 2, now=2.01, round_trip_s=0.0) == []
    assert _resent(resends, 2, now=2.03, round_trip_s=0.0) == [2]


def test_a_packet_may_be_asked_for_the_moment_the_clock_begins() -> None:
    resends = Resends()
    resends.sent(_sent(0))

    assert _resent(resends, 1, now=0.0) == [1]


def test_resent_packets_take_a_quarter_of_the_rate_and_what_is_beyond_is_counted() -> None:
    resends, rate_bps = Resends(), 160_000.0  # a quarter of it is five packets a second
    resends.sent(_sent(0, 40))

    assert _resent(resends, *range(8), now=10.0, rate_bps=rate_bps) == [0, 1, 2, 3, 4]
    assert resends.refused == 3
    assert _resent(resends, *range(8), now=10.4, rate_bps=rate_bps) == [0, 1]


def test_a_packet_that_was_refused_may_be_asked_for_again_at_once() -> None:
    resends, rate_bps = Resends(), 160_000.0
    resends.sent(_sent(0, 40))
    _resent(resends, *range(6), now=10.0, rate_bps=rate_bps)

    assert _resent(resends, 5, now=10.21, rate_bps=rate_bps, round_trip_s=0.5) == [5]


@given(
    st.lists(st.tuples(st.floats(0, 0.5), st.lists(st.integers(0, 39), max_size=60)), max_size=40),
    st.floats(1e4, 1e6),
)
def test_over_any_time_no_more_is_sent_again_than_the_share_of_the_rate_and_a_second_of_it(
    asked: list[tuple[float, list[int]]], rate_bps: float
) -> None:
    resends, now, bits = Resends(), 0.0, 0
    resends.sent(_sent(0, 40))
    for step_s, lost in asked:
        now += step_s
        bits += 8 * _STRIDE * len(_resent(resends, *lost, now=now, round_trip_s=0.0, rate_bps=rate_bps))

    assert bits <= 0.25 * rate_bps * (now + 1.0) + 1


def test_a_probe_is_made_of_the_newest_packets() -> None:
    resends = Resends()
    older, newer = _sent(65_530, 6), _sent(0, 2, first=3)
    resends.sent(older)
    resends.sent(newer)

    assert list(resends.latest(3 * _STRIDE)) == [(newer, 4), (newer, 3), (older, 5)]
    assert list(resends.latest(3 * _STRIDE + 1)) == [(newer, 4), (newer, 3), (older, 5), (older, 4)]
    assert list(resends.latest(0)) == []


def test_a_probe_larger_than_what_was_sent_takes_all_of_it() -> None:
    resends = Resends()
    resends.sent(_sent(0, 3))

    assert len(list(resends.latest(10**6))) == 3
    assert list(Resends().latest(10**6)) == []


def test_who_asks_for_everything_all_the_time_makes_nothing_grow() -> None:
    resends = Resends()
    for turn in range(200):
        resends.sent(_sent(turn * 48 & 0xFFFF, 48, at=turn / 30))
        _resent(resends, *range(turn * 48, turn * 48 + 48), now=turn / 30, round_trip_s=0.0)

    assert len(resends._sent) <= 32
    assert len(resends._asked) <= 2048 + 48


def test_what_is_gone_is_told_as_long_as_no_keyframe_made_it_good() -> None:
    resends = Resends()
    resends.keyframe(65_530)
    resends.sent(_sent(65_530, at=1.0))
    resends.sent(_sent(4, at=1.01 + KEPT_S))

    assert resends.gone([65_533])  # too long ago
    assert not resends.gone([5])  # it is still there
    assert not resends.gone([65_529, 14, 40_000])  # before the keyframe, or never sent

    resends.keyframe(14)
    assert not resends.gone([65_533, 5])
    assert _resent(resends, 5, now=2.1) == []


def test_a_rate_that_falls_leaves_no_debt_of_seconds() -> None:
    resends = Resends()
    for burst in range(100):
        resends.sent(_sent(burst * 10, at=1.0))
    _resent(resends, *range(1000), now=1.1, rate_bps=4_000_000)

    assert _resent(resends, 7, now=2.05, rate_bps=400_000) == [7]

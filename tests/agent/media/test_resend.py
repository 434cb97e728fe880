from __future__ import annotations

from agent.media.resend import KEPT_S, Resends, Sent
from agent.media.rtp import Image

STRIDE = 1_200
IMAGE = Image(data=bytes(10 * STRIDE), count=10, stride=STRIDE, size=STRIDE - 16, last_size=STRIDE - 16)
RATE = 4_000_000


def _sent(resends: Resends, sequence: int, at: float, *, first: int = 0, count: int = 10) -> Sent:
    sent = Sent(sequence & 0xFFFF, IMAGE, first, count, 0, at)
    resends.sent(sent)
    return sent


def _wanted(resends: Resends, lost: list[int], now: float, *, rate_bps: float = RATE) -> list[int]:
    found = resends.wanted(lost, round_trip_s=0.05, rate_bps=rate_bps, now=now)
    return [sent.sequence + index - sent.first & 0xFFFF for sent, index in found]


def test_a_packet_is_found_by_its_number_in_the_burst_it_left_with() -> None:
    resends = Resends()
    _sent(resends, 100, 1.0)
    part = _sent(resends, 110, 1.0, first=4, count=3)

    assert resends.find(112) == (part, 6)
    assert resends.find(113) is None
    assert resends.find(99) is None


def test_numbers_are_found_over_their_wrap() -> None:
    resends = Resends()
    _sent(resends, 65_530, 1.0)

    assert _wanted(resends, [65_535, 0, 3, 4], 1.1) == [65_535, 0, 3]


def test_a_packet_is_sent_again_once_a_round_trip() -> None:
    resends = Resends()
    _sent(resends, 0, 1.0)

    assert _wanted(resends, [5], 1.10) == [5]
    assert _wanted(resends, [5], 1.13) == []
    assert _wanted(resends, [5], 1.16) == [5]


def test_what_is_older_than_a_second_is_forgotten() -> None:
    resends = Resends()
    _sent(resends, 0, 1.0)
    _sent(resends, 10, 1.0 + KEPT_S + 0.01)

    assert _wanted(resends, [5, 15], 2.1) == [15]


def test_what_is_gone_is_told_as_long_as_no_keyframe_made_it_good() -> None:
    resends = Resends()
    resends.keyframe(65_530)
    _sent(resends, 65_530, 1.0)
    _sent(resends, 4, 1.0 + KEPT_S + 0.01)

    assert resends.gone([65_533])  # too long ago
    assert not resends.gone([5])  # it is still there
    assert not resends.gone([65_529, 14, 40_000])  # before the keyframe, or never sent

    resends.keyframe(14)
    assert not resends.gone([65_533, 5])
    assert _wanted(resends, [5], 2.1) == []


def test_a_rate_that_falls_leaves_no_debt_of_seconds() -> None:
    resends = Resends()
    for burst in range(100):
        _sent(resends, burst * 10, 1.0)
    _wanted(resends, list(range(1000)), 1.1)

    assert _wanted(resends, [7], 2.05, rate_bps=RATE / 10) == [7]


def test_all_that_is_sent_again_stays_within_a_quarter_of_the_rate() -> None:
    resends = Resends()
    for burst in range(100):
        _sent(resends, burst * 10, 1.0 + burst / 200)

    again = sum(len(_wanted(resends, list(range(1000)), 1.5 + step / 10)) for step in range(5))

    assert again * STRIDE * 8 <= 0.25 * RATE * 1.5
    assert again * STRIDE * 8 > 0.25 * RATE * 0.9
    assert resends.refused > 0


def test_a_probe_is_made_of_what_left_last() -> None:
    resends = Resends()
    _sent(resends, 0, 1.0)
    newest = _sent(resends, 10, 1.1)

    found = list(resends.latest(3 * STRIDE))

    assert found == [(newest, 9), (newest, 8), (newest, 7)]
    assert len(list(resends.latest(10**6))) == 20

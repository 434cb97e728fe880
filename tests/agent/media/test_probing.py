"""When a cluster is asked for, and what is made of it."""

from __future__ import annotations

from agent.media.history import History
from agent.media.probing import AGAIN_S, EVERY_S, LOST_S, RARELY_S, STABLE_S, Prober, Result
from agent.media.transport_cc import parse
from tests.kit import feedback

TARGET_BPS = 4_000_000


def _asked(prober: Prober, history: History, now: float) -> bool:
    return prober.wanted(history, TARGET_BPS, now) is not None


def _probe(prober: Prober, history: History, now: float, rate_bps: float, lost: int = 0) -> Result | None:
    """Send what is asked for in one go, and have it arrive at `rate_bps` but for the first `lost` packets."""
    size = prober.wanted(history, TARGET_BPS, now)
    assert size is not None
    first, packets = history.next, -(-size // 1_000)
    for number in range(first, first + packets):
        history.sent(number & 0xFFFF, 1, 1_000, now)
    ticks = [None if place < lost else round((now + place * 8_000 / rate_bps) * 4_000) for place in range(packets)]
    history.arrived(parse(feedback.write(first, ticks)))
    return prober.judged(history, now + 0.2)


def test_a_cluster_that_arrives_at_its_rate_shows_that_rate_and_the_next_is_soon_due() -> None:
    prober, history = Prober(), History()

    assert _probe(prober, history, 10.0, 20e6) == Result(TARGET_BPS, passed=True)

    assert not _asked(prober, history, 10.2 + AGAIN_S - 0.01)
    assert _asked(prober, history, 10.2 + AGAIN_S)


def test_a_cluster_that_the_link_slows_shows_a_little_less_than_the_link() -> None:
    prober, history = Prober(), History()

    result = _probe(prober, history, 10.0, 2e6)

    assert result is not None
    assert not result.passed
    assert 1_700_000 < result.rate_bps < 1_900_000
    assert not _asked(prober, history, 10.2 + EVERY_S - 0.01)
    assert _asked(prober, history, 10.2 + EVERY_S)


def test_a_cluster_that_is_lost_shows_nothing_and_is_tried_again() -> None:
    prober, history = Prober(), History()

    assert _probe(prober, history, 10.0, 20e6, lost=10) is None
    assert _asked(prober, history, 10.2 + LOST_S)


def test_a_cluster_that_nobody_sends_is_given_up() -> None:
    prober, history = Prober(), History()

    assert _asked(prober, history, 10.0)
    assert prober.judged(history, 11.0) is None
    assert not _asked(prober, history, 11.4)
    assert prober.judged(history, 11.6) is None
    assert _asked(prober, history, 11.6 + LOST_S)


def test_the_next_picture_is_no_part_of_a_cluster() -> None:
    prober, history = Prober(), History()
    assert _asked(prober, history, 10.0)
    for number in range(8):
        history.sent(number, 1, 1_000, 10.0)
    history.sent(8, 20, 1_000, 10.033)

    history.arrived(parse(feedback.write(0, [40_000 + 2 * place for place in range(8)] + [40_300] * 20)))

    assert prober.judged(history, 10.2) == Result(TARGET_BPS, passed=True)


def test_nothing_is_asked_for_until_a_drop_has_been_stable() -> None:
    prober, history = Prober(), History()
    prober.decreased(10.0)

    assert not _asked(prober, history, 10.0 + STABLE_S - 0.01)
    assert _asked(prober, history, 10.0 + STABLE_S)


def test_probes_that_were_too_bright_become_rare_and_frequent_again_after_a_true_one() -> None:
    prober, history, now, pauses = Prober(), History(), 100.0, list[float]()
    for survived_s in (1.0, 1.0, 1.0, 1.0, 60.0):
        _probe(prober, history, now, 20e6)
        prober.decreased(now + survived_s)
        now += 100
        _probe(prober, history, now, 2e6)
        pauses.append(next(s / 10 for s in range(1_000) if _asked(prober, history, now + 0.2 + s / 10)))
        prober.hurry(now)
        now += 100

    assert pauses == [2 * EVERY_S, 4 * EVERY_S, RARELY_S, RARELY_S, EVERY_S]

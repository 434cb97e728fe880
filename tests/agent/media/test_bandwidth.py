"""What a viewer's estimate does over links that are known: the link is arithmetic, the reports are real bytes."""

from __future__ import annotations

import random
import statistics

import pytest

from agent.media.bandwidth import Bandwidth
from agent.media.rate import SHARE
from agent.media.transport_cc import MalformedFeedback
from tests.agent.media.linked import Bench, Link

FULL = 4_000_000


def test_nothing_is_estimated_before_the_first_report() -> None:
    bandwidth = Bandwidth(start_bps=FULL, min_bps=50_000, max_bps=FULL)

    bandwidth.sent(0, 14, 1200, 0.0)

    assert bandwidth.estimate_bps is None
    assert bandwidth.probe(0.1) is None


def test_a_narrow_link_is_found_in_three_seconds_and_kept_to() -> None:
    bench = Bench(Link(2_000_000, loss=0.02))

    bench.run(25)

    assert max(bench.estimates(3, 5)) < 2_000_000
    settled = bench.estimates(5)
    assert 1_400_000 < statistics.median(settled) < 2_000_000
    assert min(settled) > 1_000_000
    assert sum(SHARE * bps > 2_000_000 for bps in settled) < len(settled) / 10


def test_a_link_that_opens_is_used_again_in_ten_seconds() -> None:
    bench = Bench(Link(2_000_000, loss=0.02))
    bench.run(15)

    bench.link.rate_bps = 20_000_000
    bench.run(15)

    assert min(bench.estimates(25)) == FULL
    assert bench.probes > 0


@pytest.mark.parametrize("rate_bps", [300_000, 1_000_000])
def test_a_very_narrow_link_is_not_overrun(rate_bps: int) -> None:
    bench = Bench(Link(rate_bps))

    bench.run(30)

    assert SHARE * statistics.median(bench.estimates(10)) <= rate_bps
    assert min(bench.estimates(10)) > rate_bps * 0.4


@pytest.mark.parametrize("content_bps", [200_000.0, 1e9])
def test_a_wide_link_leaves_the_estimate_at_the_top_however_little_the_camera_sends(content_bps: float) -> None:
    bench = Bench(Link(20_000_000), content_bps=content_bps)

    bench.run(30)

    assert min(bench.estimates(0)) == FULL
    assert bench.probes == 0


@pytest.mark.parametrize("loss", [0.02, 0.05])
def test_random_loss_alone_lowers_nothing(loss: float) -> None:
    bench = Bench(Link(20_000_000, loss=loss))

    bench.run(30)

    assert min(bench.estimates(0)) == FULL


def test_jitter_of_a_wireless_link_is_no_queue_that_grows() -> None:
    dice = random.Random(3)  # noqa: S311 - keeps no secret
    scattered = Bench(Link(20_000_000, jitter=lambda now: dice.uniform(0, 0.015)))
    in_bursts = Bench(Link(20_000_000, jitter=lambda now: -now % 0.02))

    for bench in (scattered, in_bursts):
        bench.run(60)
        assert min(bench.estimates(0)) > 3_000_000
        assert statistics.median(bench.estimates(0)) == FULL


def test_a_link_that_vanishes_halves_the_rate_each_second_and_is_found_again() -> None:
    bench = Bench(Link(10_000_000))
    bench.run(10)

    bench.link.down = True
    bench.run(4)
    assert bench.estimates(0)[-1] <= FULL / 4
    bench.link.down = False
    bench.run(15)

    assert min(bench.estimates(25)) == FULL


def test_reports_that_get_lost_and_numbers_that_wrap_do_no_harm() -> None:
    bench = Bench(Link(20_000_000), number=65_000, lose_reports=0.1)

    bench.run(60)

    assert bench.number > 2 * 65_536 - 65_000
    assert min(bench.estimates(0)) == FULL


def test_a_report_on_what_was_never_sent_changes_nothing() -> None:
    bench = Bench(Link(20_000_000))
    bench.run(1)

    for first in (0, 30_000, 65_000):
        bench.bandwidth.feedback(first.to_bytes(2, "big") + bytes.fromhex("0001 000001 00 2001 04"), bench.now)

    assert bench.bandwidth.estimate_bps == FULL


def test_a_receiver_that_estimates_by_itself_is_believed_within_the_bounds() -> None:
    bandwidth = Bandwidth(start_bps=FULL, min_bps=50_000, max_bps=FULL)

    for told, expected in ((1_500_000, 1_500_000), (10, 50_000), (90_000_000, FULL)):
        bandwidth.remb(told, 0.0)
        assert bandwidth.estimate_bps == expected


def test_without_any_estimate_of_a_receiver_its_loss_decides() -> None:
    bandwidth = Bandwidth(start_bps=FULL, min_bps=50_000, max_bps=FULL)

    for _ in range(5):
        bandwidth.receiver_report(0.3, 0.05, 0.0)
    lowered = bandwidth.estimate_bps
    for _ in range(5):
        bandwidth.receiver_report(0.0, 0.05, 0.0)

    assert lowered is not None
    assert lowered < FULL / 2
    assert bandwidth.estimate_bps is not None
    assert bandwidth.estimate_bps > lowered


def test_malformed_reports_are_told() -> None:
    bandwidth = Bandwidth(start_bps=FULL, min_bps=50_000, max_bps=FULL)

    with pytest.raises(MalformedFeedback):
        bandwidth.feedback(b"\0\0\0\1", 0.0)

"""What a viewer's estimate does over links that are known: the link is a model, the feedback is real bytes."""

from __future__ import annotations

import random
import statistics
from collections.abc import Mapping
from itertools import pairwise

import pytest

from agent.media.bandwidth import Bandwidth
from agent.media.transport_cc import MalformedFeedback
from tests.kit import feedback
from tests.kit.modelled_link import Link, Moment, World

FULL = 4_000_000
WEAK = Link(rate_bps=2e6, delay_s=0.05, loss=0.02)
OPEN = Link(delay_s=0.05, loss=0.02)


def _bandwidth() -> Bandwidth:
    return Bandwidth(start_bps=FULL, min_bps=200_000, max_bps=FULL)


def _world(links: Mapping[float, Link] | Link, **more: object) -> World:
    return World(_bandwidth(), {0.0: links} if isinstance(links, Link) else links, **more)  # type: ignore[arg-type]


def _estimates(moments: list[Moment], since: float = 1.0, until: float = 1e9) -> list[int]:
    return [one.estimate_bps for one in moments if since <= one.at < until and one.estimate_bps is not None]


@pytest.mark.parametrize("seed", range(1, 6))
def test_a_weak_link_is_found_in_three_seconds_and_kept_just_below(seed: int) -> None:
    moments = _world(WEAK, seed=seed).run(60)

    assert max(_estimates(moments, since=3, until=5)) < 2_000_000
    settled = _estimates(moments, since=5)
    assert min(settled) > 1_300_000
    assert max(settled) < 2_200_000
    assert sum(bps > 2_000_000 for bps in settled) < 0.1 * len(settled)
    assert 1_550_000 < statistics.median(settled) < 1_900_000
    assert statistics.mean(one.queue_s for one in moments if one.at > 5) < 0.05


@pytest.mark.parametrize("offset", [0.0, 1.3, 2.6, 3.9])
def test_a_link_that_opens_is_used_again_within_ten_seconds(offset: float) -> None:
    moments = _world({0.0: WEAK, 20.0 + offset: OPEN}).run(45)

    assert min(_estimates(moments, since=30 + offset)) == FULL


def test_a_link_that_opens_is_found_without_probes_too() -> None:
    moments = _world({0.0: WEAK, 20.0: OPEN}, probes=False).run(50)

    assert min(_estimates(moments, since=46)) == FULL


@pytest.mark.parametrize("loss", [0.0, 0.02, 0.05])
def test_random_loss_alone_lowers_nothing_and_asks_for_no_probe(loss: float) -> None:
    world = _world(Link(loss=loss))

    assert set(_estimates(world.run(60))) == {FULL}
    assert world.probed == []


def test_loss_that_a_shallow_queue_makes_instead_of_delay_is_answered() -> None:
    moments = _world(Link(rate_bps=2e6, queue_s=0.02)).run(30)

    assert max(_estimates(moments, since=5)) < 2_600_000


def _uniform(chance: random.Random) -> float:
    return chance.uniform(0, 0.02)


def _bursts(chance: random.Random) -> float:
    return chance.choice([0.002, 0.01, 0.02, 0.02, 0.04])


def _rarely_long(chance: random.Random) -> float:
    return chance.uniform(0, 0.01) if chance.random() > 0.02 else 0.2


@pytest.mark.parametrize("radio_s", [_uniform, _bursts, _rarely_long])
def test_a_radio_that_holds_packets_back_is_no_queue_that_grows(radio_s: object) -> None:
    moments = _world(Link(radio_s=radio_s)).run(60)  # type: ignore[arg-type]

    assert set(_estimates(moments)) == {FULL}


def test_a_camera_that_sends_little_loses_nothing_of_its_estimate() -> None:
    moments = _world(Link(), camera_bps=300_000).run(30)

    assert set(_estimates(moments)) == {FULL}


def test_what_a_little_traffic_shows_is_capped_until_a_probe_shows_more() -> None:
    links = {0.0: Link(rate_bps=500_000), 15.0: Link()}

    unprobed = _world(links, camera_bps=600_000, probes=False).run(60)
    probed = _world(links, camera_bps=600_000).run(60)

    assert 600_000 < max(_estimates(unprobed, since=50)) < 2 * 600_000
    assert max(_estimates(probed, since=35)) == FULL


def test_no_probe_leaves_while_the_queue_grows_or_right_after() -> None:
    world = _world({0.0: Link(), 10.0: WEAK})
    moments = world.run(40)

    drops = [two.at for one, two in pairwise(moments) if (two.estimate_bps or 0) < 0.9 * (one.estimate_bps or 0)]
    assert len(world.probed) >= 3
    assert all(not -0.25 < probe - drop < 2.5 for probe in world.probed for drop in drops)


def test_lost_feedback_and_reordered_packets_do_no_harm() -> None:
    good = _world(Link(reordered=0.05, feedback_loss=0.2)).run(60)
    weak = _world(Link(rate_bps=2e6, delay_s=0.05, reordered=0.05, feedback_loss=0.2)).run(60)

    assert set(_estimates(good)) == {FULL}
    assert 1_300_000 < min(_estimates(weak, since=5)) < max(_estimates(weak, since=5)) < 2_200_000


def test_numbers_and_the_receivers_clock_may_wrap() -> None:
    twelve_days_s = 2**24 * 0.064
    plain = _world({0.0: Link(), 10.0: WEAK}).run(30)
    wrapping = _world({0.0: Link(), 10.0: WEAK}, first=0xFFFF - 3_000, receiver_clock_s=twelve_days_s - 9).run(30)

    assert [one.estimate_bps for one in wrapping] == [one.estimate_bps for one in plain]


def test_a_link_that_vanishes_halves_the_estimate_in_steps_and_is_full_again_soon_after_it_returns() -> None:
    moments = _world({0.0: Link(), 10.0: Link(gone=True), 12.0: Link()}).run(20)

    steps = list(dict.fromkeys(_estimates(moments, since=10, until=12.1)))
    assert steps == [4_000_000, 2_000_000, 1_000_000, 500_000]
    assert min(_estimates(moments, since=14)) == FULL


def test_a_pause_of_the_camera_is_not_silence_of_the_viewer() -> None:
    bandwidth = _bandwidth()
    bandwidth.sent(0, 2, 1200, 0.0)
    bandwidth.feedback(feedback.write(0, [400, 404]), 0.1)

    bandwidth.sent(2, 2, 1200, 60.0)

    assert bandwidth.estimate_bps == FULL


def test_nothing_is_known_before_the_first_evidence() -> None:
    bandwidth = _bandwidth()
    bandwidth.sent(7, 20, 1200, 0.0)

    assert bandwidth.estimate_bps is None
    assert bandwidth.probe(0.1) is None
    bandwidth.feedback(feedback.write(7, [4000 + place for place in range(20)]), 0.1)
    assert bandwidth.estimate_bps == FULL


def test_feedback_on_what_was_never_sent_is_no_evidence() -> None:
    bandwidth = _bandwidth()
    bandwidth.sent(7, 20, 1200, 0.0)

    for base in (27, 30_000, 60_000):
        bandwidth.feedback(feedback.write(base, [4000]), 0.1)

    assert bandwidth.estimate_bps is None


def test_malformed_feedback_is_told_and_changes_nothing() -> None:
    bandwidth = _bandwidth()

    with pytest.raises(MalformedFeedback):
        bandwidth.feedback(b"\0\0\0\1", 0.0)

    assert bandwidth.estimate_bps is None


def test_a_receiver_that_estimates_by_itself_caps_the_estimate_within_the_bounds() -> None:
    bandwidth = _bandwidth()

    for asked_bps, given_bps in ((1_500_000, 1_500_000), (10, 200_000), (90_000_000, FULL)):
        bandwidth.remb(asked_bps, 0.0)
        assert bandwidth.estimate_bps == given_bps


def test_where_only_receiver_reports_come_their_loss_decides() -> None:
    bandwidth = _bandwidth()
    given: list[int | None] = []
    for fraction in (0.0, 0.05, 0.2, 0.05, 0.0):
        bandwidth.receiver_report(fraction, 0.05, 0.0)
        given.append(bandwidth.estimate_bps)

    assert given == [FULL, FULL, 3_600_000, 3_600_000, 3_780_000]

"""Who is given which stream, and at what bitrate: the viewers here are numbers."""

from __future__ import annotations

import itertools
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.media.access_unit import StreamName
from agent.media.rate import SHARE, Decision, Rates, ViewerRate

MAIN, LEAST, SUB, LEAST_SUB = 4_000_000, 300_000, 600_000, 100_000
STEP_S = 0.25


class House:
    """Viewers whose estimates a test sets, decided on four times a second."""

    def __init__(self, *, has_sub: bool = True) -> None:
        self.rates = Rates(main_max_bps=MAIN, main_min_bps=LEAST, sub_max_bps=SUB, sub_min_bps=LEAST_SUB)
        self.estimates: dict[str, int | None] = {}
        self.streams: dict[str, StreamName] = {}
        self.moved_at: list[float] = []
        self.now = 100.0
        self._has_sub = has_sub

    def run(self, seconds: float = STEP_S) -> Decision:
        """Let time pass; give the last decision."""
        for _ in range(max(1, round(seconds / STEP_S))):
            decision = self.rates.decide(
                [
                    ViewerRate(key=key, estimate_bps=estimate, stream=self.streams.get(key, "main"))
                    for key, estimate in self.estimates.items()
                ],
                self.now,
                has_sub=self._has_sub,
            )
            for key, stream in decision.streams.items():
                if self.streams.get(key, "main") != stream:
                    self.moved_at.append(self.now)
            self.streams = dict(decision.streams)
            self.now += STEP_S
        return decision


def test_as_long_as_nothing_is_known_everybody_gets_everything() -> None:
    house = House()
    house.estimates = {"a": None, "b": None}

    assert house.run(5) == Decision(main_bps=MAIN, sub_bps=SUB, streams={"a": "main", "b": "main"})
    assert House().run().main_bps == MAIN  # nobody watches


def test_a_lone_weak_viewer_is_followed_down_at_once_and_up_in_steps() -> None:
    house = House()
    house.estimates = {"weak": 1_800_000}
    lowered = house.run().main_bps
    assert lowered == int(SHARE * 1_800_000)

    house.estimates = {"weak": MAIN}
    seen = [house.run().main_bps for _ in range(20)]
    assert seen[-1] == MAIN
    assert all(before <= after <= 1.25 * before for before, after in itertools.pairwise([lowered, *seen]))
    assert house.moved_at == []


def test_from_the_least_to_everything_takes_less_than_ten_seconds() -> None:
    house = House()
    house.estimates = {"weak": LEAST}
    house.run(1)
    house.estimates = {"weak": MAIN}

    assert house.run(9).main_bps == MAIN


def test_what_is_hardly_a_change_is_not_passed_on() -> None:
    house = House()
    house.estimates = {"weak": 2_000_000}
    first = house.run(1).main_bps
    for estimate in (1_950_000, 2_050_000, 2_080_000, 1_930_000):
        house.estimates = {"weak": estimate}
        assert house.run(3).main_bps == first


def test_beside_a_strong_viewer_a_weak_one_gets_the_sub_stream_after_a_moment() -> None:
    house = House()
    house.estimates = {"strong": MAIN, "weak": 2_500_000}
    assert house.run(0.75).streams == {"strong": "main", "weak": "main"}

    assert house.run(0.5) == Decision(main_bps=MAIN, sub_bps=SUB, streams={"strong": "main", "weak": "sub"})


def test_a_link_that_breaks_down_moves_its_viewer_at_once_even_if_it_has_only_just_returned() -> None:
    house = House()
    house.estimates = {"strong": MAIN, "weak": 500_000}
    assert house.run().streams["weak"] == "sub"
    house.estimates["weak"] = MAIN
    while house.run().streams["weak"] == "sub":
        pass
    house.estimates["weak"] = 500_000

    assert house.run().streams["weak"] == "sub"


def test_a_viewer_that_is_a_little_short_is_moved_if_that_lasts() -> None:
    house = House()
    house.estimates = {"strong": MAIN, "short": int(0.88 * MAIN)}
    assert house.run(1).streams["short"] == "main"

    assert house.run(9).streams["short"] == "sub"
    assert len(house.moved_at) == 1


def test_a_viewer_that_is_weak_for_less_than_a_moment_stays() -> None:
    house = House()
    house.estimates = {"strong": MAIN, "other": int(0.7 * MAIN)}
    house.run(0.75)
    house.estimates["other"] = MAIN

    assert house.run(5).streams["other"] == "main"
    assert house.moved_at == []


def test_a_viewer_is_moved_back_when_its_link_took_more_for_a_while() -> None:
    house = House()
    house.estimates = {"strong": MAIN, "weak": 1_500_000}
    house.run(6)
    house.estimates["weak"] = MAIN

    assert house.run(2).streams["weak"] == "sub"
    assert house.run(0.5).streams["weak"] == "main"


def test_who_returns_too_soon_time_and_again_stays_away_longer_each_time() -> None:
    house = House()
    away = []
    for _ in range(4):
        house.estimates = {"strong": MAIN, "deceived": 500_000}
        house.run()
        left_at = house.now
        house.estimates["deceived"] = MAIN
        while house.run().streams["deceived"] == "sub":
            pass
        away.append(house.now - left_at)

    assert away == pytest.approx([3, 6, 12, 24], abs=0.5)


def test_the_sub_stream_follows_the_weakest_that_is_on_it() -> None:
    house = House()
    house.estimates = {"strong": MAIN, "weak": 1_500_000, "weaker": 400_000, "weakest": 10_000}
    assert house.run(1).sub_bps == LEAST_SUB

    del house.estimates["weakest"]
    assert house.run(10).sub_bps == int(SHARE * 400_000)


def test_the_sub_stream_begins_at_what_its_first_viewer_can_take() -> None:
    house = House()
    house.estimates = {"strong": MAIN, "weak": 300_000}

    assert house.run() == Decision(
        main_bps=MAIN, sub_bps=int(SHARE * 300_000), streams={"strong": "main", "weak": "sub"}
    )


def test_the_last_viewer_is_given_the_main_stream_at_what_its_link_takes() -> None:
    house = House()
    house.estimates = {"strong": MAIN, "weak": 1_000_000}
    house.run(10)
    del house.estimates["strong"]

    assert house.run(0.25).streams == {"weak": "sub"}
    decision = house.run(2.5)
    assert decision.streams == {"weak": "main"}
    assert decision.main_bps == int(SHARE * 1_000_000)


def test_a_lone_viewer_below_the_least_that_main_is_worth_gets_the_sub_stream() -> None:
    house = House()
    house.estimates = {"weak": 200_000}

    decision = house.run(2)

    assert decision.streams == {"weak": "sub"}
    assert decision.sub_bps == int(SHARE * 200_000)


def test_without_a_sub_stream_main_follows_the_weakest_down_to_its_bound() -> None:
    house = House(has_sub=False)
    house.estimates = {"strong": MAIN, "weak": 1_000_000}
    assert house.run() == Decision(main_bps=850_000, sub_bps=SUB, streams={"strong": "main", "weak": "main"})

    house.estimates["weak"] = 60_000
    assert house.run().main_bps == LEAST


def test_bounds_that_contradict_each_other_give_way_to_the_configured_bitrate() -> None:
    rates = Rates(main_max_bps=200_000, main_min_bps=300_000, sub_max_bps=600_000, sub_min_bps=LEAST_SUB)
    viewers = [ViewerRate(key="weak", estimate_bps=50_000, stream="main")]

    decision = rates.decide(viewers, 1.0, has_sub=True)

    assert (decision.main_bps, decision.sub_bps) == (200_000, LEAST_SUB)


def _moves_within_ten_seconds(house: House) -> int:
    return max((sum(at <= other < at + 10 for other in house.moved_at) for at in house.moved_at), default=0)


@pytest.mark.parametrize("steadiness", [0.0, 0.9])
def test_noise_of_an_estimate_moves_its_viewer_no_more_than_once_in_ten_seconds(steadiness: float) -> None:
    for level in range(500_000, MAIN + 500_000, 100_000):
        house, dice, error = House(), random.Random(level), 0.0  # noqa: S311 - keeps no secret
        for _ in range(240):
            swing = 0.15 if steadiness == 0 else 0.06
            error = max(-0.15, min(0.15, steadiness * error + dice.uniform(-swing, swing)))
            house.estimates = {"strong": MAIN, "noisy": min(MAIN, round(level * (1 + error)))}
            house.run()
        assert _moves_within_ten_seconds(house) <= 1, level


estimates = st.dictionaries(st.sampled_from("abcdef"), st.one_of(st.none(), st.integers(0, 10**8)), max_size=6)


@given(st.lists(estimates, max_size=30), st.booleans())
def test_bounds_hold_whatever_is_estimated(steps: list[dict[str, int | None]], has_sub: bool) -> None:
    house = House(has_sub=has_sub)
    for house.estimates in steps:
        decision = house.run()

        assert LEAST <= decision.main_bps <= MAIN
        assert LEAST_SUB <= decision.sub_bps <= SUB
        assert decision.streams.keys() == house.estimates.keys()
        assert has_sub or "sub" not in decision.streams.values()


@given(
    st.lists(st.integers(700_000, MAIN), min_size=1, max_size=40),
    st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), min_size=40, max_size=40),
)
def test_nobody_takes_anything_from_who_is_stronger(strong: list[int], others: list[tuple[float, float]]) -> None:
    alone, together = House(), House()
    for estimate, parts in zip(strong, others, strict=False):
        alone.estimates = {"strong": estimate}
        together.estimates = alone.estimates | {f"{index}": int(part * estimate) for index, part in enumerate(parts)}
        by_itself, among_others = alone.run(), together.run()

        assert among_others.streams["strong"] == by_itself.streams["strong"] == "main"
        assert among_others.main_bps == by_itself.main_bps


@given(st.lists(st.integers(1, 10**7), min_size=1, max_size=60))
def test_a_lone_viewer_is_never_sent_more_than_a_part_of_what_its_link_takes(steps: list[int]) -> None:
    house = House()
    for estimate in steps:
        house.estimates = {"lone": estimate}
        decision = house.run()

        if decision.streams["lone"] == "main" and estimate < MAIN:
            assert decision.main_bps <= max(LEAST, estimate / 1.1 + 1)

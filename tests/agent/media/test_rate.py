"""Who is given which stream, and at what bitrate: the viewers here are numbers."""

from __future__ import annotations

import random

from hypothesis import given
from hypothesis import strategies as st

from agent.media.access_unit import StreamName
from agent.media.rate import DWELL_S, Decision, Rates, ViewerRate

MAIN, LEAST, SUB, LEAST_SUB = 4_000_000, 300_000, 600_000, 100_000
STEP_S = 0.25


class House:
    """Viewers whose estimates a test sets, decided on four times a second."""

    def __init__(self, *, has_sub: bool = True) -> None:
        self.rates = Rates(main_max_bps=MAIN, main_min_bps=LEAST, sub_max_bps=SUB, sub_min_bps=LEAST_SUB)
        self.estimates: dict[str, int | None] = {}
        self.streams: dict[str, StreamName] = {}
        self.moves = 0
        self.now = 100.0
        self._has_sub = has_sub

    def run(self, seconds: float) -> Decision:
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
            self.moves += sum(self.streams.get(key, "main") != stream for key, stream in decision.streams.items())
            self.streams = dict(decision.streams)
            self.now += STEP_S
        return decision


def test_as_long_as_nothing_is_known_everybody_gets_everything() -> None:
    house = House()
    house.estimates = {"a": None, "b": None}

    assert house.run(5) == Decision(main_bps=MAIN, sub_bps=SUB, streams={"a": "main", "b": "main"})
    assert House().run(1).main_bps == MAIN  # nobody watches


def test_a_lone_weak_viewer_is_followed_down_at_once_and_up_in_steps() -> None:
    house = House()
    house.estimates = {"weak": 1_800_000}
    lowered = house.run(STEP_S)
    assert lowered.main_bps == int(0.85 * 1_800_000)

    house.estimates = {"weak": MAIN}
    assert lowered.main_bps < house.run(STEP_S).main_bps < 2_000_000
    assert house.run(4).main_bps == MAIN
    assert house.moves == 0


def test_beside_a_strong_viewer_a_weak_one_gets_the_sub_stream_and_the_strong_one_loses_nothing() -> None:
    house = House()
    house.estimates = {"strong": MAIN, "weak": 1_500_000}

    decision = house.run(STEP_S)

    assert decision.streams == {"strong": "main", "weak": "sub"}
    assert decision.main_bps == MAIN
    assert decision.sub_bps == SUB


def test_the_sub_stream_follows_the_weakest_that_is_on_it() -> None:
    house = House()
    house.estimates = {"strong": MAIN, "weak": 1_500_000, "weaker": 400_000, "weakest": 10_000}
    assert house.run(1).sub_bps == LEAST_SUB

    del house.estimates["weakest"]
    assert house.run(3).sub_bps == int(0.85 * 400_000)


def test_a_viewer_is_moved_back_when_its_link_took_more_for_a_while() -> None:
    house = House()
    house.estimates = {"strong": MAIN, "weak": 1_500_000}
    house.run(DWELL_S)
    house.estimates["weak"] = MAIN

    assert house.run(1).streams["weak"] == "sub"
    assert house.run(2).streams["weak"] == "main"
    assert house.moves == 2


def test_a_viewer_that_is_a_little_weak_for_a_moment_stays() -> None:
    house = House()
    house.estimates = {"strong": MAIN, "other": 3_600_000}
    house.run(0.5)
    house.estimates["other"] = MAIN
    decision = house.run(5)

    assert decision.streams["other"] == "main"
    assert decision.main_bps == MAIN
    assert house.moves == 0


def test_a_lone_viewer_below_the_least_that_main_is_worth_gets_the_sub_stream() -> None:
    house = House()
    house.estimates = {"weak": 200_000}

    decision = house.run(2)

    assert decision.streams == {"weak": "sub"}
    assert decision.sub_bps == int(0.85 * 200_000)


def test_without_a_sub_stream_main_follows_the_weakest_down_to_its_bound() -> None:
    house = House(has_sub=False)
    house.estimates = {"strong": MAIN, "weak": 1_000_000}
    assert house.run(1) == Decision(main_bps=850_000, sub_bps=SUB, streams={"strong": "main", "weak": "main"})

    house.estimates["weak"] = 60_000
    assert house.run(1).main_bps == LEAST


def test_noise_of_an_estimate_makes_no_storm_of_moves() -> None:
    for level in range(500_000, MAIN, 250_000):
        house, dice = House(), random.Random(level)  # noqa: S311 - keeps no secret
        for _ in range(240):
            house.estimates = {"strong": MAIN, "noisy": round(level * dice.uniform(0.85, 1.15))}
            house.run(STEP_S)
        assert house.moves <= 12, level  # in a minute


estimates = st.dictionaries(st.sampled_from("abcdef"), st.one_of(st.none(), st.integers(0, 10**8)), max_size=6)


@given(st.lists(estimates, max_size=30), st.booleans())
def test_bounds_hold_whatever_is_estimated(steps: list[dict[str, int | None]], has_sub: bool) -> None:
    house = House(has_sub=has_sub)
    for house.estimates in steps:
        decision = house.run(STEP_S)

        assert LEAST <= decision.main_bps <= MAIN
        assert LEAST_SUB <= decision.sub_bps <= SUB
        assert decision.streams.keys() == house.estimates.keys()
        assert has_sub or "sub" not in decision.streams.values()


@given(st.lists(st.integers(0, MAIN - 1), min_size=1, max_size=5))
def test_nobody_who_is_weak_takes_anything_from_who_is_not(weak: list[int]) -> None:
    house = House()
    house.estimates = {"strong": MAIN} | {f"weak {number}": estimate for number, estimate in enumerate(weak)}

    for _ in range(40):
        decision = house.run(STEP_S)
        assert decision.streams["strong"] == "main"
        assert decision.main_bps >= 0.8 * MAIN

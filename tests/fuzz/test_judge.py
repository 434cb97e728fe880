"""The judge of the fuzzers finds what it is there to find, and leaves a busy machine out of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from tests.fuzz.judge import MOST_CPU_S, Finding, Judge
from tests.fuzz.target import Target


def _target(take: Callable[[bytes], object]) -> Target:
    return Target(take=take, refusals=(ValueError,), most_bytes=16)


def _clock(took_s: list[float]) -> Callable[[], float]:
    """A clock under which each try takes so long, one after another."""

    def times() -> Iterator[float]:
        for each in took_s:
            yield 0.0
            yield each

    return times().__next__


def test_a_refusal_of_the_doors_own_kind_is_what_is_wanted() -> None:
    judge = Judge(_target(int))

    judge.take(b"7")
    judge.take(b"seven")

    assert (judge.cases, judge.refused) == (2, 1)


def test_any_other_error_is_a_finding_that_names_it() -> None:
    with pytest.raises(Finding, match="raised ZeroDivisionError"):
        Judge(_target(lambda case: 1 // len(case))).take(b"")


def test_a_case_that_takes_too_long_each_time_is_a_finding() -> None:
    with pytest.raises(Finding, match="took 60 ms"):
        Judge(_target(len), _clock([0.09, 0.08, 0.07, 0.06, 0.08])).take(b"")


def test_a_case_that_was_slow_only_once_is_none() -> None:
    judge = Judge(_target(len), _clock([2 * MOST_CPU_S, 0.003, 0.001, 0.002, 0.004]))

    judge.take(b"")

    assert judge.slowest_s == 0.001


def test_a_door_that_keeps_something_of_each_case_is_a_finding() -> None:
    kept = list[object]()
    judge = Judge(_target(lambda case: kept.append(object())))
    judge.settled()
    for _ in range(6000):
        judge.take(b"")

    with pytest.raises(Finding, match="objects stayed of 6000 cases"):
        judge.growth()


def test_a_door_that_keeps_bytes_beyond_the_sight_of_python_is_one_as_well() -> None:
    kept = list[bytearray]()
    judge = Judge(_target(lambda case: kept.append(bytearray(b"x" * 2**20))))
    judge.settled()
    for _ in range(200):  # more than what the process has free from before
        judge.take(b"")

    with pytest.raises(Finding, match="MB stayed of 200 cases"):
        judge.growth()


def test_a_door_that_keeps_nothing_is_none() -> None:
    judge = Judge(_target(bytes.hex))
    judge.settled()
    for _ in range(6000):
        judge.take(b"abc")

    objects, _ = judge.growth()

    assert objects < 300

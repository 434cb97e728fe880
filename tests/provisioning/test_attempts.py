from __future__ import annotations

from datetime import UTC, datetime, timedelta

from provisioning import attempts
from provisioning.attempts import Attempts

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


def test_who_was_wrong_too_often_waits_for_the_end_of_the_window() -> None:
    counted = Attempts(most=2, window=MINUTE)
    counted.failed("a", NOW)
    assert counted.wait("a", NOW) == timedelta(0)
    counted.failed("a", NOW + timedelta(seconds=20))
    assert counted.wait("a", NOW + timedelta(seconds=20)) == timedelta(seconds=40)
    assert counted.wait("a", NOW + MINUTE) == timedelta(0)


def test_a_new_window_starts_from_nothing() -> None:
    counted = Attempts(most=2, window=MINUTE)
    for _ in range(2):
        counted.failed("a", NOW)
    counted.failed("a", NOW + MINUTE)
    assert counted.wait("a", NOW + MINUTE) == timedelta(0)


def test_nobody_waits_for_what_others_did() -> None:
    counted = Attempts(most=1, window=MINUTE)
    counted.failed("a", NOW)
    assert counted.wait("b", NOW) == timedelta(0)


def test_a_flood_of_names_takes_no_more_memory_and_forgets_the_oldest() -> None:
    counted = Attempts(most=1, window=MINUTE)
    for number in range(attempts.MOST_NAMES + 1):
        counted.failed(str(number), NOW)
    assert counted.wait("0", NOW) == timedelta(0)
    assert counted.wait("1", NOW) == MINUTE
    assert counted.wait(str(attempts.MOST_NAMES), NOW) == MINUTE

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from agent.identity import clock
from agent.identity.clock import ClockError, LastGood
from protocol.names import Role
from tests.kit.pki import DEVICE, issue_leaf, make_fleet

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
HOUR = timedelta(hours=1)


def test_the_floor_is_the_latest_time_that_is_known_to_have_passed(tmp_path: Path) -> None:
    leaf = issue_leaf(make_fleet(tmp_path / "fleet", now=NOW), Role.DEVICE, DEVICE, now=NOW + HOUR).chain[0]
    begins = leaf.not_valid_before_utc
    assert clock.floor(released=NOW, last_good=None, certificates=[]) == NOW
    assert clock.floor(released=NOW, last_good=None, certificates=[leaf]) == begins
    assert clock.floor(released=NOW, last_good=NOW + 2 * HOUR, certificates=[leaf]) == NOW + 2 * HOUR
    assert clock.floor(released=NOW + 3 * HOUR, last_good=NOW, certificates=[leaf]) == NOW + 3 * HOUR


async def test_a_clock_that_is_right_is_not_waited_for() -> None:
    assert await clock.wait_until_plausible(NOW, timeout_s=0, clock=lambda: NOW) == NOW


async def test_a_clock_that_is_set_meanwhile_ends_the_wait() -> None:
    shown = iter([datetime(1970, 1, 1, tzinfo=UTC), NOW + HOUR])
    assert await clock.wait_until_plausible(NOW, timeout_s=20, clock=lambda: next(shown)) == NOW + HOUR


async def test_a_clock_that_stays_wrong_is_one_line_that_names_the_remedy() -> None:
    with pytest.raises(ClockError, match="timedatectl") as caught:
        await clock.wait_until_plausible(NOW, timeout_s=0.01, clock=lambda: datetime(1970, 1, 2, tzinfo=UTC))
    assert "1970-01-02 00:00 UTC" in str(caught.value)
    assert "2026-11-22 12:00 at least" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_the_last_good_time_outlives_a_restart_and_is_written_once_an_hour(tmp_path: Path) -> None:
    kept = LastGood(tmp_path / "last-good")
    assert kept.read() is None
    kept.note(NOW)
    kept.note(NOW + HOUR - timedelta(seconds=1))
    assert LastGood(tmp_path / "last-good").read() == NOW
    kept.note(NOW + HOUR)
    assert LastGood(tmp_path / "last-good").read() == NOW + HOUR


def test_the_last_good_time_is_never_lowered(tmp_path: Path) -> None:
    kept = LastGood(tmp_path / "last-good")
    kept.note(NOW)
    kept.note(datetime(1970, 1, 2, tzinfo=UTC))
    assert kept.read() == NOW


@pytest.fixture(params=["", "soon", "9" * 40, "\udcff"])
def nonsense(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    path = tmp_path / "last-good"
    path.write_bytes(str(request.param).encode("utf-8", "surrogateescape"))
    return path


def test_a_file_that_says_no_time_is_passed_over_and_replaced(nonsense: Path) -> None:
    kept = LastGood(nonsense)
    assert kept.read() is None
    kept.note(NOW)
    assert kept.read() == NOW


def test_a_disk_that_takes_no_more_is_a_warning(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    LastGood(tmp_path / "missing" / "last-good").note(NOW)
    assert "cannot be kept" in caplog.text

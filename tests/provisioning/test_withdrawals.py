"""Whom a device is told of that was offline when permissions were withdrawn."""

from __future__ import annotations

from datetime import timedelta

from provisioning.people import WITHDRAWN
from provisioning.registry import Event
from provisioning.withdrawals import LASTS, MOST, MOST_TOLD, Withdrawals
from tests.kit.cast import NOW

DOOR, GATE = "d" * 26, "g" * 26


def event(number: int, person: str, *, device: str | None = None, kind: str = WITHDRAWN) -> Event:
    note = f"{person} may not use this device any more"
    return Event(number=number, at=NOW + timedelta(seconds=number), device=device, kind=kind, note=note)


def noted(*events: Event) -> Withdrawals:
    withdrawals = Withdrawals()
    for one in events:
        withdrawals.note(one)
    return withdrawals


def test_a_device_is_told_of_its_own_withdrawals_and_of_those_for_every_device_once_each_and_the_newest_first() -> None:
    withdrawals = noted(
        event(1, "anna", device=DOOR),
        event(2, "bert"),
        event(3, "carl", device=GATE),
        event(4, "anna"),
        event(5, "dora", device=DOOR, kind="granted"),
    )

    assert withdrawals.concerning(DOOR, NOW) == ["anna", "bert"]
    assert withdrawals.concerning(GATE, NOW) == ["anna", "carl", "bert"]


def test_a_withdrawal_is_told_until_no_session_from_before_it_can_live() -> None:
    withdrawals = noted(event(0, "anna"))

    assert withdrawals.concerning(DOOR, NOW + LASTS) == ["anna"]
    assert withdrawals.concerning(DOOR, NOW + LASTS + timedelta(seconds=1)) == []


def test_what_is_remembered_and_what_is_told_at_once_have_bounds_and_the_newest_count() -> None:
    withdrawals = noted(*(event(0, f"p{number}") for number in range(MOST + 1)), event(0, "anna", device=GATE))

    assert withdrawals.concerning(DOOR, NOW) == [f"p{number}" for number in range(MOST, MOST - MOST_TOLD, -1)]
    assert len(withdrawals._events) == MOST

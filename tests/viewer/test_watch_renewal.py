"""Whole calls that outlive their grant: with a fresh one they go on, over whichever line there is by then."""

from __future__ import annotations

import asyncio
import time

import pytest

from tests.kit.caller import Caller
from tests.viewer.conftest import Trust, Wire
from tests.viewer.watched import Make, cut, playing, regranted, relay
from viewer import permission
from viewer import watch as watching
from viewer.call import Granted
from viewer.errors import Declined, Fault

LIFE_S = 8


@pytest.fixture
def early(wire: Wire, monkeypatch: pytest.MonkeyPatch) -> None:
    """Sessions that are renewed after a quarter of their life: a busy machine has the rest of it."""
    wire.gate._longest_s = LIFE_S
    monkeypatch.setattr(watching, "_RENEW_AT", 1 / 4)


@pytest.mark.usefixtures("early")
async def test_a_session_is_renewed_in_time_by_itself(watch: Make, wire: Wire, trust: Trust, caller: Caller) -> None:
    asked = 0

    async def regrant() -> Granted:
        nonlocal asked
        asked += 1
        if asked == 1:
            raise Fault("unreachable", "not now")
        return regranted(caller, trust.device)

    wire.announce()
    began = time.monotonic()
    assert await watch(seconds=9.0, regrant=regrant).run() == "done"

    assert time.monotonic() - began > LIFE_S
    assert asked >= 2


@pytest.mark.usefixtures("early")
async def test_a_line_that_broke_is_made_anew_for_the_renewal_and_heard_from_then_on(
    watch: Make, wire: Wire, trust: Trust, caller: Caller
) -> None:
    wire.announce()

    async def regrant() -> Granted:
        return regranted(caller, trust.device)

    watched = watch(regrant=regrant)
    running = await playing(watched)
    wire.mends = True
    wire.broken.set()
    async with asyncio.timeout(20):
        while wire.broken.is_set():
            await asyncio.sleep(0.01)
        while not wire.renewals:
            await asyncio.sleep(0.01)

    await wire.sessions.end_all("shutdown")

    with pytest.raises(Declined) as end:
        await running
    assert end.value.reason == "shutdown"


@pytest.mark.usefixtures("early")
async def test_a_renewal_that_is_not_passed_on_is_made_again_before_the_session_ends(
    watch: Make, wire: Wire, trust: Trust, caller: Caller
) -> None:
    wire.refused.append("forbidden")
    wire.announce()

    async def regrant() -> Granted:
        return regranted(caller, trust.device)

    watched = watch(regrant=regrant)
    running = asyncio.create_task(watched.run())
    while not wire.renewals:
        assert not running.done()
        await asyncio.sleep(0.01)
    watched.stop()
    assert await running == "interrupted"


@pytest.mark.usefixtures("early")
async def test_a_renewal_brings_the_relays_credential_for_the_next_connection(
    watch: Make, wire: Wire, trust: Trust, caller: Caller
) -> None:
    wire.announce()
    fresh = relay("fresh")

    async def regrant() -> Granted:
        return regranted(caller, trust.device, fresh)

    watched = watch(regrant=regrant)
    running = asyncio.create_task(watched.run())
    async with asyncio.timeout(20):
        while watched._media.servers != (fresh,):
            await asyncio.sleep(0.01)
    watched.stop()
    assert await running == "interrupted"


async def test_a_relays_credential_that_may_have_ended_is_asked_for_anew_before_a_move(
    watch: Make, wire: Wire, trust: Trust, caller: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(permission, "CREDENTIAL_S", 0.0)
    wire.announce()

    async def regrant() -> Granted:
        return regranted(caller, trust.device)

    watched = watch(regrant=regrant)
    running = await playing(watched)
    watched._media.servers = [relay("old")]  # answers nobody, so that no move with it comes about in time
    cut(watched)
    async with asyncio.timeout(30):
        while wire.said.count("answer") < 2 or watched._moving:
            await asyncio.sleep(0.01)
    assert watched._media.servers == ()
    watched.stop()
    assert await running == "interrupted"


async def test_a_session_without_a_fresh_grant_ends_and_says_so(watch: Make, wire: Wire) -> None:
    wire.gate._longest_s = 2
    wire.announce()

    with pytest.raises(Declined) as end:
        await watch().run()
    assert end.value.reason == "expired"

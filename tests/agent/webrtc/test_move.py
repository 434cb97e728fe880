"""A session that goes over to another connection, with real peer connections on both sides."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from agent.media.stream import Stream
from protocol.errors import Refused
from protocol.names import Role, device_id
from tests.kit.caller import TrustTree
from tests.kit.house import Call, House, open_house
from tests.kit.patterned import pattern_stream


@pytest.fixture
async def stream() -> AsyncIterator[Stream]:
    async with pattern_stream() as stream:
        yield stream


@pytest.fixture
async def house(stream: Stream) -> AsyncIterator[House]:
    async with open_house(stream, TrustTree().leaf(Role.DEVICE, device_id(bytes(16)))) as house:
        yield house


def still_there(house: House, call: Call) -> bool:
    return not call.ended.done() and len(house.sessions) == 1


def impatient(house: House) -> None:
    """From now on a connection that leads nowhere is given up soon."""
    session = house.session("a")
    session.terms = replace(session.terms, setup_s=0.5)


async def test_a_viewer_who_moves_sees_the_picture_go_on_in_the_same_session(house: House, stream: Stream) -> None:
    call = await house.watch("a")
    before = call.watcher.media[0]

    moved = await house.move(call)
    await moved.accept()
    await moved.watcher.see(5)

    await call.until(lambda: stream.viewers == 1)
    after = moved.watcher.media[-1]
    assert still_there(house, call)
    assert after.ssrc == before.ssrc
    assert 0 < (after.timestamp - before.timestamp) & 0xFFFFFFFF < 60 * 90_000  # one clock
    assert house.sessions.viewers == 1
    assert house.sessions.ended.total() == 0

    house.sessions.end("a", "privacy")
    assert await call.ended == "privacy"
    assert house.sessions.ended == {"privacy": 1}


async def test_datagrams_that_did_not_pass_are_counted_over_all_connections_and_sessions(house: House) -> None:
    call, other = await house.watch("a"), await house.watch("b")
    house.session("a").guard.drops.empty += 1
    house.session("b").guard.drops.alien += 2

    moved = await house.move(call)
    await moved.accept()
    await moved.watcher.see(5)
    house.session("a").guard.drops.empty += 1
    counted = house.sessions.dropped
    house.sessions.end("b", "shutdown")
    await other.ended

    assert (counted["empty"], counted["alien"]) == (2, 2)
    assert all(house.sessions.dropped[name] >= count for name, count in counted.items())


async def test_whoever_moves_needs_no_place_of_its_own(house: House) -> None:
    call = await house.watch("a")
    await house.watch("b")
    with pytest.raises(Refused):
        await house.call("c")

    moved = await house.move(call)
    await moved.accept()
    await moved.watcher.see(5)

    assert len(house.sessions) == 2


async def test_the_way_of_before_may_break_while_the_session_moves(house: House) -> None:
    call = await house.watch("a")
    moved = await house.move(call)
    await moved.answer

    await call.watcher.close()
    await call.until(lambda: bool(house.session("a")._connection.over))
    assert still_there(house, call)
    await moved.accept()
    await moved.watcher.see(5)

    assert still_there(house, call)


async def test_of_two_moves_the_later_one_counts(house: House, stream: Stream) -> None:
    call = await house.watch("a")

    first = await house.move(call)
    await first.answer
    second = await house.move(call)
    await first.accept()
    await second.accept()
    await second.watcher.see(5)

    await call.until(lambda: stream.viewers == 1)
    assert first.watcher.pictures == 0
    assert still_there(house, call)


async def test_a_move_that_leads_nowhere_leaves_the_session_where_it_is(house: House, stream: Stream) -> None:
    call = await house.watch("a")
    impatient(house)

    await (await house.move(call)).answer
    await call.until(lambda: house.session("a")._next is None)

    await call.watcher.see(10)
    assert still_there(house, call)
    assert stream.viewers == 1


async def test_a_session_whose_way_broke_ends_when_its_move_leads_nowhere(house: House) -> None:
    call = await house.watch("a")
    impatient(house)
    await (await house.move(call)).answer

    await call.watcher.close()

    async with asyncio.timeout(20):
        assert await call.ended == "left"


async def test_an_offer_that_cannot_be_answered_moves_nothing(house: House) -> None:
    call = await house.watch("a")

    with pytest.raises(Refused):
        await house.move(call, change=lambda sdp: re.sub("H264", "H999", sdp))

    await call.watcher.see(5)
    assert still_there(house, call)


async def test_nobody_moves_before_there_is_a_connection(house: House) -> None:
    call = await house.call("a")

    with pytest.raises(Refused):
        await house.move(call)


async def test_the_time_of_a_session_goes_on_where_it_moves(house: House) -> None:
    call = await house.watch("a", life_s=3.0)
    moved = await house.move(call)
    await moved.accept()

    async with asyncio.timeout(20):
        assert await call.ended == "expired"


async def test_a_session_that_ends_while_it_moves_leaves_nothing_behind(house: House, stream: Stream) -> None:
    call = await house.watch("a")
    moved = await house.move(call)
    await moved.accept()

    house.sessions.end("a", "left")

    assert await call.ended == "left"
    assert stream.viewers == 0
    assert not [task for task in asyncio.all_tasks() if task.get_name().startswith(("moving-", "closing-"))]

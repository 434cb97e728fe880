"""A stranger, whose socket is nobody's candidate, against a real session on real sockets: during setup, and live."""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
from collections.abc import AsyncIterator, Iterator

import pytest
from aioice import ice

from agent.media.packetize import Packetized
from agent.media.stream import Stream
from agent.tasks import end
from agent.webrtc.guard import MAX_SOURCES
from tests.kit.borrowed import attribute
from tests.kit.hostile_datagrams import HOSTILE, Stranger, request
from tests.kit.house import Call, House

Address = tuple[str, int]


@pytest.fixture(autouse=True)
async def tracebacks() -> AsyncIterator[list[dict[str, object]]]:
    """What nobody caught; there is to be none."""
    raised: list[dict[str, object]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: raised.append(context))
    yield raised
    assert not raised


@pytest.fixture
def strangers() -> Iterator[list[Stranger]]:
    made: list[Stranger] = []
    yield made
    for stranger in made:
        stranger.close()


def doors(answer: str) -> list[Address]:
    """Where the camera listens."""
    found = [candidate.split()[4:6] for candidate in attribute(answer, "candidate")]
    return [(host, int(port)) for host, port in found]


async def attack(doors: list[Address], datagrams: list[bytes], strangers: list[Stranger], times: int) -> None:
    """Send each of the datagrams to each door, so many times, and give the camera time to hear them."""
    for door in doors:
        strangers.append(stranger := Stranger(door[0]))
        for _ in range(times):
            for data in datagrams:
                stranger.send(data, door)
            await asyncio.sleep(0.005)
        stranger.listen()


def replied(strangers: list[Stranger]) -> int:
    for stranger in strangers:
        stranger.listen()
    return sum(stranger.reply_bytes for stranger in strangers)


@pytest.mark.parametrize("name", HOSTILE)
async def test_a_call_is_set_up_while_a_stranger_sends(house: House, strangers: list[Stranger], name: str) -> None:
    call = await house.call("a")
    answer = await call.answer
    await attack(doors(answer), [HOSTILE[name]], strangers, times=5)
    sending = asyncio.create_task(attack(doors(answer), [HOSTILE[name]], strangers, times=200))

    await call.watcher.accept(answer)
    await call.watcher.see(3)

    await end(sending)
    assert replied(strangers) == 0
    assert house.session("a").guard.account()
    assert not call.ended.done()


async def test_pictures_go_on_while_a_stranger_sends_all_there_is_and_the_log_says_what_it_was(
    house: House, strangers: list[Stranger], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    call = await house.watch("a")
    answer = await call.answer

    await attack(doors(answer), list(HOSTILE.values()), strangers, times=20)
    await call.watcher.see(10)

    assert replied(strangers) == 0
    drops = house.session("a").guard.drops
    for name in ("empty", "over_long", "alien", "stranger", "malformed", "unproven", "unasked"):
        assert getattr(drops, name), name
    assert not call.ended.done()

    assert house.sessions.dropped == drops.counts()
    house.sessions.end("a", "shutdown")
    await call.ended
    assert house.sessions.dropped == drops.counts()
    assert f"session a: datagrams dropped: empty {drops.empty}, over-long {drops.over_long}, alien" in caplog.text


async def test_a_stranger_who_knows_our_user_name_is_not_told_so(house: House, strangers: list[Stranger]) -> None:
    call = await house.watch("a")
    answer = await call.answer
    (ours,) = attribute(answer, "ice-ufrag")
    (theirs,) = attribute(call.watcher.peer.localDescription.sdp, "ice-ufrag")

    await attack(doors(answer), [request(f"{ours}:{theirs}"), request(f"{ours}:x")], strangers, times=10)

    drops, sent = house.session("a").guard.drops, 20 * len(doors(answer))
    await call.until(lambda: drops.unproven >= sent)
    assert replied(strangers) == 0
    assert drops.unproven == sent


async def test_who_knows_our_password_is_heard_and_has_no_say(house: House, strangers: list[Stranger]) -> None:
    call = await house.watch("a")
    answer = await call.answer
    (ours,) = attribute(answer, "ice-ufrag")
    (password,) = attribute(answer, "ice-pwd")
    (theirs,) = attribute(call.watcher.peer.localDescription.sdp, "ice-ufrag")
    door = doors(answer)[0]
    strangers.append(stranger := Stranger(door[0]))

    stranger.send(request(f"{ours}:{theirs}", password), door)
    await call.until(lambda: replied([stranger]) > 0)

    for name in ("nothing", "a plaintext alert", "a NULL-cipher ClientHello", "RTCP"):
        stranger.send(HOSTILE[name], door)
    await call.watcher.see(10)

    assert not call.ended.done()
    assert house.session("a").guard.drops.empty == 1


async def test_who_records_a_check_keeps_out_no_address_that_the_viewer_names_later(
    house: House, strangers: list[Stranger]
) -> None:
    call = await house.call("a")
    answer = await call.answer
    (ours,), (password,) = attribute(answer, "ice-ufrag"), attribute(answer, "ice-pwd")
    (theirs,) = attribute(call.watcher.peer.localDescription.sdp, "ice-ufrag")
    check, door, session = request(f"{ours}:{theirs}", password), doors(answer)[0], house.session("a")
    for _ in range(MAX_SOURCES + 1):
        strangers.append(Stranger(door[0]))
        strangers[-1].send(check, door)
    await call.until(lambda: session.guard.drops.crowd == 1)
    strangers.append(later := Stranger(door[0]))
    host, port = later.address

    house.sessions.add_candidate("a", f"candidate:1 1 udp 1 {host} {port} typ host")

    def answered() -> bool:
        later.send(check, door)
        later.listen()
        return later.reply_bytes > 0

    await call.until(answered)


async def test_a_viewer_that_names_a_second_component_and_checks_from_there_is_no_trouble(
    house: House, strangers: list[Stranger]
) -> None:
    strangers.append(second := Stranger(_own_address()))
    host, port = second.address
    call = await house.call(
        "a", change=lambda offer: f"{offer}a=candidate:1 2 udp 2130706430 {host} {port} typ host\r\n"
    )
    answer = await call.answer
    await call.watcher.accept(answer)
    await call.watcher.see(3)
    names = attribute(answer, "ice-ufrag") + attribute(call.watcher.peer.localDescription.sdp, "ice-ufrag")

    second.send(request(":".join(names), *attribute(answer, "ice-pwd")), doors(answer)[0])

    await call.watcher.see(10)
    assert replied(strangers)


def _own_address() -> str:
    """An address of this machine that is not a loopback's."""
    return next(address for address in ice.get_host_addresses(use_ipv4=True, use_ipv6=False))


class _Published:
    """Counts what the camera made."""

    def __init__(self) -> None:
        self.units = 0

    def take(self, packetized: Packetized, now: float) -> bool:
        self.units += 1
        return False


@contextlib.contextmanager
def counted(stream: Stream) -> Iterator[_Published]:
    published = _Published()
    stream.subscribe(published, asyncio.get_running_loop().time())
    yield published
    stream.unsubscribe(published)


async def flood(door: Address, count: int, per_second: int) -> dict[str, int]:
    """Send from a process of its own."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.kit.hostile_datagrams", door[0], *map(str, (door[1], count, per_second))),
        stdout=asyncio.subprocess.PIPE,
    )
    output, _ = await process.communicate()
    told: dict[str, int] = json.loads(output)
    return told


def used_door(call: Call, answer: str, house: House) -> Address:
    """The door that media leaves by."""
    pair = house.session("a").egress._pair
    assert pair is not None
    address: Address = pair.local_addr  # type: ignore[attr-defined]
    assert address in doors(answer)
    return address


@pytest.mark.alone
async def test_100_000_hostile_datagrams_cost_no_session_and_no_frames(house: House, stream: Stream) -> None:
    call = await house.watch("a")
    door = used_door(call, await call.answer, house)
    await call.watcher.see(30)

    with counted(stream) as published:
        before = call.watcher.pictures
        told = await flood(door, 100_000, 10_000)
        shown, made = call.watcher.pictures - before, published.units

    drops = house.session("a").guard.drops
    assert told["sent"] >= 100_000
    assert told["reply_bytes"] <= told["sent_bytes"]
    assert told["reply_bytes"] == 0
    assert not call.ended.done()
    assert shown >= 0.95 * made > 100
    assert drops.stranger + drops.unproven + drops.malformed + drops.empty > 10_000, "the flood did not arrive"

"""Whole calls whose connection falls silent: they go on over another one, with the same camera and no other."""

from __future__ import annotations

import asyncio
import socket
import time
from pathlib import Path

import pytest

from protocol.names import Role
from tests.kit.caller import Caller
from tests.viewer.conftest import DEVICE, Trust, Wire, granted
from tests.viewer.test_record import probe
from tests.viewer.watched import Make, cut, playing, regranted
from viewer import watch as watching
from viewer.call import Granted, IceServer
from viewer.errors import Declined, Fault, NotVerified


async def test_a_session_goes_on_over_another_connection_when_one_falls_silent(
    watch: Make, wire: Wire, tmp_path: Path
) -> None:
    wire.announce()
    watched = watch(seconds=6.0, record=tmp_path / "out.mp4")
    running = await playing(watched, pictures=10)
    before = watched._media._carrying

    cut(watched)

    assert await running == "done"
    assert watched._media._carrying is None
    assert before is not None
    assert wire.said.count("answer") >= 2
    assert "bye" not in wire.said[:-1]
    assert wire.sessions.ended.total() <= 1
    read = probe(tmp_path / "out.mp4")
    assert int(read["nb_read_frames"]) == watched.figures.frames


async def test_a_move_has_the_time_that_a_silent_stun_server_takes(watch: Make, wire: Wire) -> None:
    wire.announce()
    watched = watch()
    running = await playing(watched)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
        silent.bind(("127.0.0.1", 0))
        watched._media.servers = [IceServer(urls=(f"stun:127.0.0.1:{silent.getsockname()[1]}",))]
        before = watched._media._carrying
        cut(watched)
        async with asyncio.timeout(40):
            while watched._media._carrying is before:
                assert not running.done()
                await asyncio.sleep(0.01)
    watched.stop()
    assert await running == "interrupted"


async def test_a_viewer_whose_session_ended_while_it_was_away_is_told_so(watch: Make, wire: Wire) -> None:
    wire.announce()
    watched = watch()
    running = await playing(watched)
    wire.after_signing = lambda compact: None  # the bye gets lost
    cut(watched)
    (sid,) = wire.sessions._open
    receiver = watched._media._carrying
    assert receiver is not None
    receiver._peer.remove_all_listeners()  # as does the end of the connection

    wire.sessions.end(sid, "privacy")
    while len(wire.sessions):
        await asyncio.sleep(0.01)
    wire.after_signing = lambda compact: compact

    with pytest.raises(Declined) as end:
        await running
    assert end.value.reason == "privacy"


async def test_a_camera_whose_certificate_was_renewed_is_known_again_from_the_next_grant_on(
    watch: Make, wire: Wire, trust: Trust, caller: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    wire.gate._longest_s = 8
    monkeypatch.setattr(watching, "_RENEW_AT", 1 / 4)
    renewed = trust.tree.leaf(Role.DEVICE, DEVICE)
    told = asyncio.Event()

    async def regrant() -> Granted:
        told.set()
        return granted(caller, caller.grant(time.time()), renewed)

    wire.announce()
    watched = watch(seconds=6.0, regrant=regrant)
    running = await playing(watched)
    wire.signer = wire.dtls = renewed
    async with asyncio.timeout(20):
        await told.wait()

    cut(watched)

    assert await running == "done"
    assert wire.said.count("answer") >= 2


async def test_a_camera_whose_certificate_was_renewed_is_known_again_in_the_middle_of_a_move(
    watch: Make, wire: Wire, trust: Trust, caller: Caller
) -> None:
    renewed = trust.tree.leaf(Role.DEVICE, DEVICE)
    asked = 0

    async def regrant() -> Granted:
        nonlocal asked
        asked += 1
        if asked == 1:
            raise Fault("unreachable", "not from this network yet")
        return regranted(caller, renewed)

    wire.announce()
    watched = watch(regrant=regrant)
    running = await playing(watched)
    before = watched._media._carrying
    wire.signer = wire.dtls = renewed

    cut(watched)

    async with asyncio.timeout(40):
        while watched._media._carrying is before:
            assert not running.done()
            await asyncio.sleep(0.01)
    assert watched.leaf == renewed.chain[0]
    assert asked >= 2
    assert wire.renewals == 0
    watched.stop()
    assert await running == "interrupted"


async def test_a_certificate_that_the_fleet_has_taken_back_answers_no_move(
    watch: Make, wire: Wire, trust: Trust, caller: Caller
) -> None:
    asked = 0

    async def regrant() -> Granted:
        nonlocal asked
        asked += 1
        return regranted(caller, trust.device)

    wire.announce()
    watched = watch(regrant=regrant)
    running = await playing(watched)
    wire.signer = wire.dtls = trust.tree.leaf(Role.DEVICE, DEVICE)
    cut(watched)

    with pytest.raises(NotVerified) as end:
        await running
    assert end.value.reason == "untrusted-answer"
    assert asked == 1


async def test_an_answer_to_a_move_that_is_not_the_cameras_ends_it(watch: Make, wire: Wire, trust: Trust) -> None:
    wire.announce()
    watched = watch()
    running = await playing(watched)
    wire.signer = trust.other
    cut(watched)

    with pytest.raises(NotVerified) as end:
        await running
    assert end.value.reason == "untrusted-answer"

"""Whole calls: a real peer connection on both sides, the device's own gate and sessions, and a wire in between."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import pytest

from protocol.messages import Answer, Bye
from protocol.names import Role
from tests.kit.caller import Caller, Signer
from tests.viewer.conftest import DEVICE, Trust, Wire, granted, within
from tests.viewer.test_record import probe
from viewer import watch as watching
from viewer.call import Granted, IceServer
from viewer.errors import Declined, Fault, NoPicture, NotVerified
from viewer.watch import Watch

Make = Callable[..., Watch]


def regranted(caller: Caller, device: Signer, *ice_servers: IceServer) -> Granted:
    """A fresh grant, as the fleet gives it."""
    return replace(granted(caller, caller.grant(time.time()), device), ice_servers=ice_servers)


def relay(credential: str) -> IceServer:
    """A TURN server that nobody answers at."""
    return IceServer(urls=("turn:127.0.0.1:9",), username="somebody", credential=credential)


@pytest.mark.alone
async def test_a_camera_is_watched_and_recorded(watch: Make, wire: Wire, trust: Trust, tmp_path: Path) -> None:
    wire.announce()
    watched = watch(seconds=2.0, record=tmp_path / "out.mp4")

    assert await watched.run() == "done"

    figures = watched.figures.summary(watched.packets_lost)
    assert (figures.width, figures.height) == (320, 180)
    assert figures.packets_lost == 0
    assert figures.time_to_first_picture_ms is not None
    assert watched.leaf == trust.device.chain[0]
    read = probe(tmp_path / "out.mp4")
    assert read["codec_name"] == "h264"
    assert (read["width"], read["height"]) == (320, 180)
    assert Fraction(read["r_frame_rate"]) == 30
    assert int(read["nb_read_frames"]) == figures.frames
    assert float(read["duration"]) == pytest.approx(2.0, abs=0.2)


async def test_a_viewer_who_leaves_sets_its_session_free(watch: Make, wire: Wire) -> None:
    wire.announce()
    ended = asyncio.Event()
    wire.on_said = lambda kind: ended.set() if kind == "bye" else None

    await watch(seconds=0.2).run()

    async with asyncio.timeout(5):
        await ended.wait()
    assert len(wire.sessions) == 0


async def test_a_session_is_renewed_in_time_by_itself(watch: Make, wire: Wire, trust: Trust, caller: Caller) -> None:
    wire.gate._longest_s = 6
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

    assert time.monotonic() - began > 6
    assert asked >= 2


async def test_a_line_that_broke_is_made_anew_for_the_renewal_and_heard_from_then_on(
    watch: Make, wire: Wire, trust: Trust, caller: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watching, "_RENEW_AT", 1 / 4)
    wire.gate._longest_s = 8
    wire.announce()

    async def regrant() -> Granted:
        return regranted(caller, trust.device)

    watched = watch(regrant=regrant)
    running = asyncio.create_task(watched.run())
    while not watched.figures.frames:
        await asyncio.sleep(0.01)
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


async def test_a_renewal_that_is_not_passed_on_is_made_again_before_the_session_ends(
    watch: Make, wire: Wire, trust: Trust, caller: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watching, "_RENEW_AT", 1 / 2)
    wire.gate._longest_s = 8
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


@pytest.mark.parametrize("refusal", [Declined("rate"), Declined("forbidden"), NoPicture("offline")], ids=str)
async def test_what_a_relay_does_not_pass_on_ends_no_picture_and_the_camera_is_still_heard(
    watch: Make, wire: Wire, refusal: Declined | NoPicture
) -> None:
    wire.announce()
    lines: list[str] = []
    watched = watch(say=lines.append)
    running = asyncio.create_task(watched.run())
    while not watched.figures.frames:
        await asyncio.sleep(0.01)

    wire.refuse(refusal)
    while f"{refusal} The picture goes on." not in lines:
        assert not running.done()
        await asyncio.sleep(0.01)
    await wire.sessions.end_all("privacy")

    with pytest.raises(Declined) as end:
        await running
    assert end.value.reason == "privacy"


async def test_a_camera_that_is_revoked_is_seen_no_more(watch: Make, wire: Wire) -> None:
    wire.announce()
    watched = watch()
    running = asyncio.create_task(watched.run())
    while not watched.figures.frames:
        await asyncio.sleep(0.01)

    wire.refuse(Declined("revoked"))

    with pytest.raises(Declined) as end:
        await running
    assert end.value.reason == "revoked"


async def test_a_renewal_brings_the_relays_credential_for_the_next_connection(
    watch: Make, wire: Wire, trust: Trust, caller: Caller
) -> None:
    wire.gate._longest_s = 3
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
    monkeypatch.setattr(watching, "CREDENTIAL_S", 0.0)
    wire.announce()

    async def regrant() -> Granted:
        return regranted(caller, trust.device)

    watched = watch(regrant=regrant)
    running = asyncio.create_task(watched.run())
    while not watched.figures.frames:
        await asyncio.sleep(0.01)
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


async def test_watching_can_be_ended_at_any_time_and_the_file_is_finished(
    watch: Make, wire: Wire, tmp_path: Path
) -> None:
    wire.announce()
    seen = asyncio.Event()
    watched = watch(record=tmp_path / "out.mp4", say=lambda line: seen.set() if "fps" in line else None)
    running = asyncio.create_task(watched.run())
    await seen.wait()

    watched.stop()

    assert await running == "interrupted"
    assert int(probe(tmp_path / "out.mp4")["nb_read_frames"]) == watched.figures.frames


async def test_whoever_gives_up_before_the_first_picture_has_seen_none(watch: Make) -> None:
    watched = watch()
    running = asyncio.create_task(watched.run())
    await asyncio.sleep(0)

    watched.stop()

    with pytest.raises(NoPicture) as ended:
        await running
    assert ended.value.reason == "interrupted"


async def test_a_stale_challenge_is_tried_once_more_with_the_newest_status(watch: Make, wire: Wire) -> None:
    wire.announce(challenge="s" * 22)
    wire.on_said = lambda kind: wire.announce() if wire.said == ["bye"] else None

    assert await watch(seconds=0.2).run() == "done"

    assert wire.said[:2] == ["bye", "answer"]


async def test_a_camera_that_takes_no_challenge_is_not_asked_a_third_time(watch: Make, wire: Wire) -> None:
    wire.announce(challenge="s" * 22)
    wire.on_said = lambda kind: wire.announce(challenge="t" * 22)

    with pytest.raises(Declined) as refusal:
        await watch().run()

    assert refusal.value.reason == "expired"
    assert wire.said == ["bye", "bye"]


async def test_a_refusal_is_told_with_its_reason(watch: Make, wire: Wire) -> None:
    wire.before_signing = lambda message: (
        Bye(sid=message.sid, seq=1, reason="privacy") if isinstance(message, Answer) else message
    )
    wire.announce()

    with pytest.raises(Declined, match="privacy switch") as refusal:
        await watch().run()
    assert refusal.value.reason == "privacy"


async def test_a_camera_that_ends_the_session_is_believed_with_its_reason(watch: Make, wire: Wire) -> None:
    wire.announce()
    watched = watch()
    running = asyncio.create_task(watched.run())
    while not watched.figures.frames:
        await asyncio.sleep(0.01)

    await wire.sessions.end_all("shutdown")

    with pytest.raises(Declined) as refusal:
        await running
    assert refusal.value.reason == "shutdown"


async def test_a_camera_that_is_offline_is_not_called(watch: Make, wire: Wire) -> None:
    wire.announce(presence="offline", challenge="")

    with within(5.0), pytest.raises(NoPicture) as ended:
        await watch().run()

    assert ended.value.reason == "offline"
    assert wire.said == []


@pytest.mark.parametrize(
    ("limit", "reason", "announced"), [("STATUS_S", "no-status", False), ("ANSWER_S", "no-answer", True)]
)
async def test_nobody_is_waited_for_without_end(
    watch: Make, wire: Wire, monkeypatch: pytest.MonkeyPatch, limit: str, reason: str, announced: bool
) -> None:
    monkeypatch.setattr(watching, limit, 0.5)
    wire.after_signing = lambda compact: None
    if announced:
        wire.announce()

    with pytest.raises(NoPicture) as ended:
        await watch().run()
    assert ended.value.reason == reason


async def test_a_picture_that_stops_ends_the_call(watch: Make, wire: Wire, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watching, "STALL_S", 1.5)
    wire.announce()
    watched = watch()
    running = asyncio.create_task(watched.run())
    while not watched.figures.frames:
        await asyncio.sleep(0.01)

    wire.broken.set()
    receiver = watched._media._carrying
    assert receiver is not None
    receiver._peer.getReceivers()[0]._enabled = False  # what arrives from now on counts for nothing

    with pytest.raises(NoPicture) as ended:
        await running
    assert ended.value.reason == "stalled"


async def test_without_its_broker_the_picture_goes_on(watch: Make, wire: Wire) -> None:
    wire.announce()
    lines: list[str] = []
    watched = watch(seconds=2.0, say=lines.append)
    running = asyncio.create_task(watched.run())
    while not watched.figures.frames:
        await asyncio.sleep(0.01)

    wire.broken.set()

    assert await running == "done"
    assert any("goes on without it" in line for line in lines)


async def test_without_its_broker_nobody_can_be_called(watch: Make, wire: Wire) -> None:
    wire.broken.set()

    with pytest.raises(Fault):
        await watch().run()


async def test_pictures_that_get_lost_are_asked_for_again_and_leave_no_broken_one(
    watch: Make, wire: Wire, tmp_path: Path
) -> None:
    wire.announce()
    watched = watch(seconds=3.0, record=tmp_path / "out.mp4")
    running = asyncio.create_task(watched.run())
    while watched.figures.frames < 10:
        await asyncio.sleep(0.01)
    # One packet that no resend brings back: its number is taken out behind the decryption.
    take, dropped = watched._media._reassembly.add, []

    def lossy(packet: object, now: float) -> list[object]:
        number = packet.sequence  # type: ignore[attr-defined]
        if not dropped or number == dropped[0]:
            dropped.append(number)
            return []
        return take(packet, now)  # type: ignore[arg-type, return-value]

    watched._media._reassembly.add = lossy  # type: ignore[method-assign, assignment]

    assert await running == "done"

    assert watched.packets_lost == 1
    read = probe(tmp_path / "out.mp4")
    assert int(read["nb_read_frames"]) == watched.figures.frames
    assert wire.stream.keyframe_causes["pli"] >= 1


def cut(watched: Watch) -> None:
    """Let nothing arrive any more over the connection that brings the pictures."""
    receiver = watched._media._carrying
    assert receiver is not None
    transport = receiver._peer.getReceivers()[0].transport

    async def lost(data: bytes, **_: object) -> None:
        pass

    transport._handle_rtp_data = transport._handle_rtcp_data = lost


async def test_a_session_goes_on_over_another_connection_when_one_falls_silent(
    watch: Make, wire: Wire, tmp_path: Path
) -> None:
    wire.announce()
    watched = watch(seconds=6.0, record=tmp_path / "out.mp4")
    running = asyncio.create_task(watched.run())
    while watched.figures.frames < 10:
        await asyncio.sleep(0.01)
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
    running = asyncio.create_task(watched.run())
    while not watched.figures.frames:
        await asyncio.sleep(0.01)
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
    running = asyncio.create_task(watched.run())
    while not watched.figures.frames:
        await asyncio.sleep(0.01)
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
    watch: Make, wire: Wire, trust: Trust, caller: Caller
) -> None:
    wire.gate._longest_s = 3
    renewed = trust.tree.leaf(Role.DEVICE, DEVICE)
    told = asyncio.Event()

    async def regrant() -> Granted:
        told.set()
        return granted(caller, caller.grant(time.time()), renewed)

    wire.announce()
    watched = watch(seconds=6.0, regrant=regrant)
    running = asyncio.create_task(watched.run())
    while not watched.figures.frames:
        await asyncio.sleep(0.01)
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
    running = asyncio.create_task(watched.run())
    while not watched.figures.frames:
        await asyncio.sleep(0.01)
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
    running = asyncio.create_task(watched.run())
    while not watched.figures.frames:
        await asyncio.sleep(0.01)
    wire.signer = wire.dtls = trust.tree.leaf(Role.DEVICE, DEVICE)
    cut(watched)

    with pytest.raises(NotVerified) as end:
        await running
    assert end.value.reason == "untrusted-answer"
    assert asked == 1


async def test_an_answer_to_a_move_that_is_not_the_cameras_ends_it(watch: Make, wire: Wire, trust: Trust) -> None:
    wire.announce()
    watched = watch()
    running = asyncio.create_task(watched.run())
    while not watched.figures.frames:
        await asyncio.sleep(0.01)
    wire.signer = trust.other
    cut(watched)

    with pytest.raises(NotVerified) as end:
        await running
    assert end.value.reason == "untrusted-answer"

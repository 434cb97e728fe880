"""Whole calls: a real peer connection on both sides, the device's own gate and sessions, and a wire in between."""

from __future__ import annotations

import asyncio
from fractions import Fraction
from pathlib import Path

import pytest

from protocol.messages import Answer, Bye
from tests.viewer.conftest import Trust, Wire, within
from tests.viewer.test_record import probe
from tests.viewer.watched import Make, playing
from viewer import conversation
from viewer import watch as watching
from viewer.errors import Declined, Fault, NoPicture


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

    async with asyncio.timeout(20):
        await ended.wait()
    assert len(wire.sessions) == 0


@pytest.mark.parametrize("refusal", [Declined("rate"), Declined("forbidden"), NoPicture("offline")], ids=str)
async def test_what_a_relay_does_not_pass_on_ends_no_picture_and_the_camera_is_still_heard(
    watch: Make, wire: Wire, refusal: Declined | NoPicture
) -> None:
    wire.announce()
    lines: list[str] = []
    watched = watch(say=lines.append)
    running = await playing(watched)

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
    running = await playing(watched)

    wire.refuse(Declined("revoked"))

    with pytest.raises(Declined) as end:
        await running
    assert end.value.reason == "revoked"


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
    running = await playing(watched)

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
    monkeypatch.setattr(conversation, limit, 0.5)
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
    running = await playing(watched)

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
    running = await playing(watched)

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
    running = await playing(watched, pictures=10)
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

"""The data channel `control`: what is asked is checked against the grant each time, and what is sent is bounded."""

from __future__ import annotations

import asyncio
import contextlib
import json
from typing import Any

import pytest
from aiortc.rtcsctptransport import DataChunk, ForwardTsnChunk, RTCSctpTransport, SackChunk
from hypothesis import given
from hypothesis import strategies as st

from agent.channel import commands
from agent.webrtc.control import SENTENCES, Command, CommandRefused, Control
from agent.webrtc.sdp import MAX_COMMAND_BYTES
from tests.agent.capture.bench import running
from tests.agent.capture.scripted import ScriptedAdjustable
from tests.kit.house import Call, House
from tests.kit.watcher import Watcher

BOTH = frozenset({"live", "control"})
DESCRIBE = json.dumps({"command": "describe", "id": "1"})


def control(scope: frozenset[str] = BOTH) -> Control:
    snapshot = Command(scope="snapshot", run=lambda asked: {"taken": True})
    return Control({"snapshot": snapshot}, scope=lambda: scope, now=0.0)


def asked(control: Control, message: str | bytes, now: float = 0.0) -> dict[str, Any]:
    answer = json.loads(control.answer(message, now))
    assert set(answer) in ({"id", "result"}, {"id", "error", "message"})
    return dict(answer)


def test_a_viewer_is_told_what_its_grant_allows() -> None:
    assert asked(control(), DESCRIBE)["result"] == {"scope": ["control", "live"], "commands": ["describe"]}
    assert asked(control(BOTH | {"snapshot"}), DESCRIBE)["result"]["commands"] == ["describe", "snapshot"]


@pytest.mark.parametrize("scope", [{"live"}, {"live", "control"}, {"live", "snapshot"}])
def test_a_command_beyond_the_grant_is_refused(scope: set[str]) -> None:
    answer = asked(control(frozenset(scope)), json.dumps({"command": "snapshot", "id": "7"}))

    assert (answer["id"], answer["error"]) == ("7", "forbidden")


def test_a_command_within_the_grant_is_carried_out() -> None:
    answer = asked(control(BOTH | {"snapshot"}), json.dumps({"command": "snapshot", "id": "7"}))

    assert answer == {"id": "7", "result": {"taken": True}}


def test_a_command_gets_the_whole_of_what_was_sent() -> None:
    echo = Command(scope="control", run=lambda asked: asked)
    sent = {"command": "echo", "id": "7", "more": [1, None]}

    assert asked(Control({"echo": echo}, scope=lambda: BOTH, now=0.0), json.dumps(sent))["result"] == sent


def test_a_command_that_does_not_fit_is_refused_in_its_own_words_bounded_and_in_one_line() -> None:
    def refuse(asked: Any) -> Any:
        raise CommandRefused("unfit", f"no\n{asked['more']}")

    one = Control({"bend": Command(scope="control", run=refuse)}, scope=lambda: BOTH, now=0.0)

    answer = asked(one, json.dumps({"command": "bend", "id": "7", "more": "\x1b" * 600}))
    assert (answer["id"], answer["error"], len(answer["message"])) == ("7", "unfit", 250)
    assert answer["message"].startswith("no\\n\\x1b\\x1b")
    assert asked(one, json.dumps({"command": "bend", "id": "8", "more": "way"}))["message"] == "no\\nway"


@pytest.mark.parametrize(
    ("message", "error"),
    [
        (json.dumps({"command": "reboot", "id": "1"}), "unknown"),
        ("", "malformed"),
        ("[]", "malformed"),
        ("[" * 4000, "malformed"),
        (b"\xff\xfe", "malformed"),
        (json.dumps({"command": "describe"}), "malformed"),
        (json.dumps({"command": 1, "id": "1"}), "malformed"),
        (json.dumps({"command": "describe", "id": "x" * 65}), "malformed"),
        (" " * (MAX_COMMAND_BYTES + 1), "too-long"),
    ],
)
def test_whatever_else_is_sent_is_answered_with_a_typed_error(message: str | bytes, error: str) -> None:
    assert asked(control(), message)["error"] == error


def test_commands_have_a_rate() -> None:
    one = control()
    answers = [asked(one, DESCRIBE) for _ in range(21)]

    assert [answer.get("error") for answer in answers] == [None] * 20 + ["rate"]
    assert "result" in asked(one, DESCRIBE, now=1.0)


@given(st.one_of(st.text(max_size=200), st.binary(max_size=200)))
def test_nothing_that_is_sent_raises(message: str | bytes) -> None:
    answer = asked(control(), message)

    assert answer.get("error") in SENTENCES


async def opened(house: House, scope: frozenset[str] = BOTH, label: str = "control", **terms: object) -> Call:
    call = await house.call("a", watcher=Watcher(channel=label), scope=scope, **terms)
    await call.watcher.accept(await call.answer)
    await call.watcher.see(3)
    return call


async def says(watcher: Watcher, message: str) -> dict[str, Any]:
    async with asyncio.timeout(15):
        while watcher.channel is None or watcher.channel.readyState != "open":
            await asyncio.sleep(0.01)
        watcher.channel.send(message)
        return dict(json.loads(await watcher.said.get()))


async def test_a_viewer_asks_over_the_connection_that_its_picture_comes_over(house: House) -> None:
    call = await opened(house)

    answer = await says(call.watcher, DESCRIBE)

    assert answer == {"id": "1", "result": {"scope": ["control", "live"], "commands": ["describe"]}}
    await call.watcher.see(5)


async def test_a_viewer_adjusts_the_camera_that_it_watches_within_its_ranges(house: House) -> None:
    async with running(kind=ScriptedAdjustable) as (bench, _):
        await bench.pictures(bench.watch(), 1, within_s=15)
        call = await opened(house, commands=commands(bench.camera))

        told = await says(call.watcher, json.dumps({"command": "ranges", "id": "1"}))
        done = await says(
            call.watcher, json.dumps({"command": "adjust", "id": "2", "setting": "exposure_us", "value": 8000})
        )
        beyond = await says(
            call.watcher, json.dumps({"command": "adjust", "id": "3", "setting": "focus_dpt", "value": 20})
        )

        assert told["result"]["fps"] == {"low": 15.0, "high": 50.0}
        assert done == {"id": "2", "result": {}}
        assert (beyond["error"], beyond["message"]) == ("unfit", "camera.focus_dpt = 20.0: this camera takes 0 to 15")
        (source,) = bench.sources
        assert isinstance(source, ScriptedAdjustable)
        assert source.controls == [{"ExposureTime": 8000}]
        await call.watcher.see(5)


async def test_a_renewed_grant_that_allows_less_is_what_counts_from_then_on(house: House) -> None:
    call = await opened(house)
    await says(call.watcher, DESCRIBE)

    house.sessions.renew("a", 600, frozenset({"live"}))

    assert (await says(call.watcher, DESCRIBE))["error"] == "forbidden"


async def test_a_viewer_without_the_scope_sees_the_picture_and_gets_no_channel(house: House) -> None:
    call = await house.call("a", watcher=Watcher(channel="control"), scope=frozenset({"live"}))
    answer = await call.answer

    assert "m=application 0 UDP/DTLS/SCTP webrtc-datachannel\r\n" in answer
    assert house.session("a")._connection._peer.sctp is None


async def test_a_channel_of_another_name_is_closed(house: House) -> None:
    call = await opened(house, label="shell")

    async with asyncio.timeout(15):
        while call.watcher.channel is None or call.watcher.channel.readyState != "closed":
            await asyncio.sleep(0.01)
    assert call.watcher.said.empty()


def sctp_of(call: Call) -> RTCSctpTransport:
    sctp = call.watcher.peer.sctp
    assert sctp is not None
    return sctp


async def _floods(sctp: RTCSctpTransport) -> None:
    """Fragments of messages that never end, whatever window was announced."""
    for number in range(400):
        chunk = DataChunk(flags=0b010)  # ordered, the first of more
        chunk.tsn = (sctp._local_tsn + 2 * number + 2) % 2**32
        chunk.stream_id, chunk.stream_seq, chunk.protocol, chunk.user_data = 0, 9, 51, bytes(1000)
        await sctp._send_chunk(chunk)
        if number % 20 == 0:
            await asyncio.sleep(0.02)  # what comes faster than it is read is dropped before it gets so far


async def _opens_streams(sctp: RTCSctpTransport) -> None:
    chunk = ForwardTsnChunk()
    chunk.cumulative_tsn = (sctp._local_tsn + 10) % 2**32
    chunk.streams = [(stream, 0) for stream in range(200)]
    await sctp._send_chunk(chunk)


async def _sends_no_text(sctp: RTCSctpTransport) -> None:
    await sctp._send(0, 51, b"\xff\xfe")


async def _claims_gaps(sctp: RTCSctpTransport) -> None:
    """A SACK of chunks that were never sent: aiortc would count through all of them, for seconds."""
    chunk = SackChunk()
    chunk.cumulative_tsn, chunk.advertised_rwnd = 1, 65536
    chunk.gaps = [(1, 65535)] * 280
    await sctp._send_chunk(chunk)


@pytest.mark.parametrize("misuse", [_floods, _opens_streams, _claims_gaps, _sends_no_text])
async def test_a_viewer_who_misuses_the_channel_ends_its_own_session_alone(house: House, misuse: Any) -> None:
    other = await house.watch("b")
    call = await opened(house)
    await says(call.watcher, DESCRIBE)
    sctp = house.session("a")._connection._peer.sctp

    with contextlib.suppress(ConnectionError):  # it may be over before all of it is said
        await misuse(sctp_of(call))

    async with asyncio.timeout(15):
        assert await call.ended == "failed"
    assert sctp is not None
    assert sum(len(stream.reassembly) for stream in sctp._inbound_streams.values()) <= 300
    await other.watcher.see(5)

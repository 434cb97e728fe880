"""A viewer's way out over real connections: what is lost, who falls behind, and who goes over to another stream."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import itertools
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import pytest

from agent.capture.pattern import Pattern
from agent.config import CameraConfig, SessionConfig
from agent.media.stream import Stream
from agent.webrtc.path import Path
from agent.webrtc.session import Session, Terms
from agent.webrtc.sessions import Sessions
from protocol.names import Role, device_id
from tests.kit.caller import Signer, TrustTree
from tests.kit.patterned import pattern_stream
from tests.kit.watcher import Watcher


@pytest.fixture(scope="module")
def device() -> Signer:
    return TrustTree().leaf(Role.DEVICE, device_id(bytes(16)))


@pytest.fixture
async def stream() -> AsyncIterator[Stream]:
    async with pattern_stream() as stream:
        yield stream


@dataclass
class Wire:
    """What a viewer's socket gave it: the RTP packets, some of which may be dropped on the way."""

    drop_each: int = 0
    packets: list[bytes] = field(default_factory=list)

    def tap(self, watcher: Watcher) -> None:
        connection = watcher.peer.getTransceivers()[0].receiver.transport.transport._connection
        deliver = connection.data_received

        def data_received(data: bytes, component: int) -> None:
            if 128 <= data[0] < 192 and not 192 <= data[1] < 224:
                self.packets.append(data)
                if self.drop_each and len(self.packets) % self.drop_each == 0:
                    return
            deliver(data, component)

        connection.data_received = data_received

    def of(self, session: Session) -> list[bytes]:
        """The packets of the stream itself, without those that were sent again."""
        ssrc = session.egress._out.sender._ssrc.to_bytes(4, "big")  # type: ignore[union-attr]
        return [packet for packet in self.packets if packet[8:12] == ssrc]


@dataclass
class Watching:
    session: Session
    watcher: Watcher
    wire: Wire


@contextlib.asynccontextmanager
async def watching(
    stream: Stream, device: Signer, *, viewers: int = 1, wire: Wire | None = None
) -> AsyncIterator[list[Watching]]:
    sessions = Sessions(SessionConfig(), stream, now=time.monotonic, on_change=lambda: None)
    all_of_them: list[Watching] = []
    for number in range(viewers):
        watcher, answer = Watcher(), asyncio.get_running_loop().create_future()
        terms = Terms(
            sid=str(number),
            viewer=str(number),
            offer=await watcher.offer(),
            setup_s=15,
            life_s=600,
            key=device.key,
            certificate=device.chain[0],
            full_bps=2_000_000,
            playout_delay_ms=0,
        )
        sessions.open(terms, answered=answer.set_result, ended=lambda reason: None)
        own = wire or Wire()
        own.tap(watcher)
        await watcher.accept(await answer)
        await watcher.see(3)
        all_of_them.append(Watching(sessions._open[str(number)][0], watcher, own))
    yield all_of_them
    await sessions.end_all("shutdown")
    for each in all_of_them:
        await each.watcher.close()


def _numbers(packets: list[bytes]) -> list[int]:
    return [int.from_bytes(packet[2:4], "big") for packet in packets]


async def test_packets_leave_in_their_order_without_a_gap(stream: Stream, device: Signer) -> None:
    async with watching(stream, device) as (viewer,):
        await viewer.watcher.see(60)
        numbers = _numbers(viewer.wire.of(viewer.session))

    assert numbers == [numbers[0] + index & 0xFFFF for index in range(len(numbers))]


async def test_what_is_lost_is_sent_again_and_no_picture_is_missing(stream: Stream, device: Signer) -> None:
    async with watching(stream, device, wire=Wire(drop_each=20)) as (viewer,):
        asked = stream.keyframe_causes["pli"]
        await viewer.watcher.see(150)

        assert viewer.session.egress.counts.resent > 0
        assert stream.keyframe_causes["pli"] == asked
        assert len(viewer.wire.packets) > len(viewer.wire.of(viewer.session))


async def test_a_viewer_goes_over_to_another_stream_at_its_keyframe_and_time_goes_on(
    stream: Stream, device: Signer
) -> None:
    async with watching(stream, device) as (viewer,), small_stream() as small:
        viewer.session.egress.watch(small)
        assert viewer.session.egress.heading_for == "sub"
        async with asyncio.timeout(10):
            while viewer.watcher.size != (160, 90):
                await viewer.watcher.see(1)
        assert stream.viewers == 0

        viewer.session.egress.watch(stream)
        async with asyncio.timeout(10):
            while viewer.watcher.size != (320, 180):
                await viewer.watcher.see(1)
        assert small.viewers == 0
        packets = viewer.wire.of(viewer.session)

    times = [int.from_bytes(packet[4:8], "big") for packet in packets]
    assert all((after - before) % 2**32 < 2**31 for before, after in itertools.pairwise(times))
    numbers = _numbers(packets)
    assert numbers == [numbers[0] + index & 0xFFFF for index in range(len(numbers))]


async def test_a_viewer_that_changes_its_mind_stays_where_it_was(stream: Stream, device: Signer) -> None:
    async with watching(stream, device) as (viewer,):
        silent = Stream("sub", ask=lambda: None)
        viewer.session.egress.watch(silent)
        await viewer.watcher.see(10)
        viewer.session.egress.watch(stream)

        assert silent.viewers == 0
        assert stream.viewers == 1
        await viewer.watcher.see(10)


async def test_a_viewer_whose_socket_is_full_skips_to_a_keyframe_and_slows_nobody(
    stream: Stream, device: Signer, caplog: pytest.LogCaptureFixture
) -> None:
    async with watching(stream, device, viewers=2) as (slow, quick):
        path = slow.session.egress._path
        assert path is not None
        slow.session.egress._path = Full(path)
        await quick.watcher.see(45)
        behind = slow.session.egress.counts.behind
        slow.session.egress._path, before = path, len(slow.wire.of(slow.session))
        async with asyncio.timeout(5):
            while len(slow.wire.of(slow.session)) < before + 10:
                await quick.watcher.see(1)

        assert behind > 1
        assert stream.keyframe_causes["overflow"] > 0
        told = [record for record in caplog.records if "is behind" in record.getMessage()]
        assert 1 <= len(told) <= 4  # once a second
        assert quick.session.egress.counts.behind == 0


class Full(Path):
    """A path whose socket takes nothing for a while (a fault, injected)."""

    def __init__(self, path: Path) -> None:
        super().__init__(None, ("", 0), lambda packet, address: None)
        self._kept = path

    def send(self, packets: memoryview, stride: int) -> None:
        """Refuse."""
        raise BlockingIOError(errno.EAGAIN, "the socket is full")


@contextlib.asynccontextmanager
async def small_stream() -> AsyncIterator[Stream]:
    """A sub stream of 160x90."""
    source = Pattern(CameraConfig(width=160, height=90, sub_bitrate_bps=0))
    async with pattern_stream(source, name="sub") as stream:
        yield stream

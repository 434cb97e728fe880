"""A viewer that goes over from one stream of a camera to the other, with stock aiortc at its end."""

from __future__ import annotations

import itertools
import time

import pytest
from aiortc.rtp import RTCP_PSFB_PLI, RtcpPsfbPacket

from agent.media import annexb
from agent.media.access_unit import StreamName
from agent.media.stream import Stream
from tests.kit.arrivals import by_picture, numbered_without_gaps, ticks_after, until, whole
from tests.kit.caller import Signer
from tests.kit.footage import nal, recorded, unit_of
from tests.kit.house import Recorded, open_house
from tests.kit.onlooker import Onlooker
from tests.kit.patterned import pattern_streams

MAIN: StreamName = "main"
SUB: StreamName = "sub"


async def test_going_over_to_the_other_stream_and_back_begins_at_a_keyframe_each_time(
    device: Signer, caplog: pytest.LogCaptureFixture
) -> None:
    async with pattern_streams(sub=True) as streams, open_house(streams[MAIN], device) as house:
        onlooker = Onlooker()
        streams[MAIN].subscribe(onlooker, time.monotonic())
        call = await house.watch("a")
        egress = house.session("a").egress

        for name, size in ((SUB, (160, 90)), (MAIN, (320, 180))):
            house.sessions.watch("a", streams[name])
            assert egress.heading_for == name
            await call.watcher.until(lambda size=size: call.watcher.size == size)  # type: ignore[misc]
            await call.watcher.see(5)
            assert egress.stream is streams[name]
            assert streams[SUB].viewers == (name == SUB)

        assert [streams[name].keyframe_causes["switch"] for name in (MAIN, SUB)] == [1, 1]
        packets = call.watcher.media
        assert numbered_without_gaps(packets)
        steps = [ticks_after(later[0], earlier[0]) for earlier, later in itertools.pairwise(by_picture(packets))]
        published = [unit.pts_us * 9 // 100 for unit in iter(onlooker.pop, None)]
        assert min(steps) > 0
        assert len(steps) + 1 == whole(packets) + (1 - packets[-1].marker)
        assert max(steps) <= max(after - before for before, after in itertools.pairwise(published)) + 1
        assert not [record for record in caplog.records if "decode" in record.getMessage()]


async def test_a_picture_that_both_streams_show_is_not_given_the_same_time_twice(camera: Recorded) -> None:
    call = await camera.house.connect("a")
    other = Stream(SUB, ask=lambda: None)
    keyframe, picture = [nal(annexb.SPS, 20), nal(annexb.PPS, 5), nal(annexb.IDR, 500)], [nal(annexb.SLICE, 500)]

    await camera.play([unit_of(keyframe), unit_of(picture, pts_us=40_000)])
    camera.house.sessions.watch("a", other)
    camera.stream.publish(unit_of(picture, pts_us=80_000), time.monotonic())
    other.publish(unit_of(keyframe, pts_us=80_000, stream=SUB), time.monotonic())
    other.publish(unit_of(picture, pts_us=120_000, stream=SUB), time.monotonic())
    await until(lambda: whole(call.watcher.media) == 5)

    first = call.watcher.media[0]
    ticks = [ticks_after(packets[0], first) for packets in by_picture(call.watcher.media)]
    assert ticks == [0, 3600, 7200, 7201, 10_800]


async def test_a_keyframe_is_asked_of_the_stream_that_the_viewer_is_given(device: Signer) -> None:
    async with pattern_streams(sub=True) as streams, open_house(streams[MAIN], device) as house:
        call = await house.watch("a")
        house.sessions.watch("a", streams[SUB])
        await call.watcher.until(lambda: call.watcher.size == (160, 90))

        await call.watcher.report(RtcpPsfbPacket(fmt=RTCP_PSFB_PLI, ssrc=1, media_ssrc=call.watcher.ssrc))
        await call.watcher.see(10)

        assert streams[SUB].keyframe_causes == {"switch": 1, "pli": 1}
        assert streams[MAIN].keyframe_causes == {"join": 1}


async def test_who_is_sent_back_before_the_other_stream_began_stays_and_waits_for_nothing(camera: Recorded) -> None:
    call = await camera.house.connect("a")
    other = Stream("sub", ask=lambda: None)
    await camera.play(recorded()[:3])

    camera.house.sessions.watch("a", other)
    camera.house.sessions.watch("a", other)
    assert other.viewers == 1
    camera.house.sessions.watch("a", camera.stream)
    await camera.play(recorded()[3:10])
    await until(lambda: whole(call.watcher.media) == 10)

    assert other.viewers == 0
    assert camera.house.session("a").egress.heading_for == "main"
    assert other.keyframe_causes == {"switch": 1}

"""The way from a stream to viewers over real connections, with stock aiortc at the other end."""

from __future__ import annotations

import asyncio
import itertools
import logging
import time
from pathlib import Path as File

import pytest

from agent.media import annexb
from agent.media.access_unit import AccessUnit
from agent.webrtc.path import Path
from agent.webrtc.seams import sending
from tests.kit.arrivals import access_unit, by_picture, is_keyframe, numbered_without_gaps, ticks_after, until, whole
from tests.kit.caller import Signer
from tests.kit.footage import nal, recorded, unit_of
from tests.kit.full import full_socket
from tests.kit.house import Recorded, open_house
from tests.kit.onlooker import Onlooker
from tests.kit.patterned import pattern_stream

_NTP_EPOCH_S = 2_208_988_800


async def test_every_picture_arrives_byte_for_byte_and_is_decoded(camera: Recorded) -> None:
    call = await camera.house.connect("a")

    await camera.play(recorded())
    await call.watcher.until(lambda: call.watcher.pictures >= len(recorded()) - 5)  # a decoder keeps the last few
    await until(lambda: whole(call.watcher.media) == len(recorded()))

    pictures = by_picture(call.watcher.media)
    sent = [access_unit(picture) for picture in pictures]
    assert sent == [unit.data for unit in recorded()]
    assert call.watcher.size == (1280, 720)
    assert "way: gso" in camera.house.session("a").egress.account()


async def test_packets_are_numbered_without_gaps_and_the_last_of_each_picture_is_marked(camera: Recorded) -> None:
    call = await camera.house.connect("a")

    await camera.play(recorded()[:40])
    await until(lambda: whole(call.watcher.media) == 40)

    packets = call.watcher.media
    assert numbered_without_gaps(packets)
    for picture in by_picture(packets):
        assert [packet.marker for packet in picture] == [0] * (len(picture) - 1) + [1]
    assert [ticks_after(packet, packets[0]) for packet, *_ in by_picture(packets)] == [3600 * n for n in range(40)]
    numbers = [packet.extensions.transport_sequence_number for packet in call.watcher.arrived]
    assert numbers == list(range(len(numbers)))


async def test_who_joins_is_given_the_keyframe_that_was_made_while_dtls_shook_hands(camera: Recorded) -> None:
    call = await camera.house.call("a")
    await call.watcher.accept(await call.answer)
    async with asyncio.timeout(15):
        while not camera.stream.viewers:
            await asyncio.sleep(0)
    assert not camera.house.session("a").connected

    await camera.play(recorded()[:10])
    await until(lambda: whole(call.watcher.media) == 10)

    assert is_keyframe(by_picture(call.watcher.media)[0])
    assert camera.stream.keyframe_causes == {"join": 1}


async def test_a_keyframe_is_spread_over_time_and_the_next_pictures_follow_in_order(camera: Recorded) -> None:
    call = await camera.house.connect("a")
    egress = camera.house.session("a").egress
    keyframe = unit_of([nal(annexb.SPS, 20), nal(annexb.PPS, 5), nal(annexb.IDR, 150_000)])
    following = [unit_of([nal(annexb.SLICE, 2000, seed=n)], pts_us=n * 33_333) for n in range(1, 6)]

    for unit in (keyframe, *following):
        camera.stream.publish(unit, time.monotonic())
    left_at_once = egress.counts.sent
    await until(lambda: whole(call.watcher.media) == 6)

    assert left_at_once * 1200 <= 27_000
    sent = [access_unit(picture) for picture in by_picture(call.watcher.media)]
    assert sent == [unit.data for unit in (keyframe, *following)]
    assert numbered_without_gaps(call.watcher.media)


async def test_a_session_that_ends_in_the_middle_of_a_keyframe_sends_no_more_of_it(
    camera: Recorded, caplog: pytest.LogCaptureFixture
) -> None:
    call = await camera.house.connect("a")
    egress = camera.house.session("a").egress
    camera.stream.publish(
        unit_of([nal(annexb.SPS, 20), nal(annexb.PPS, 5), nal(annexb.IDR, 150_000)]), time.monotonic()
    )
    sent = egress.counts.sent
    assert 0 < sent < 100

    camera.house.sessions.end("a", "left")
    egress.close()
    await call.ended
    await asyncio.sleep(0.05)
    egress.close()

    assert egress.counts.sent == sent
    assert camera.stream.viewers == 0
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]


async def test_a_session_that_is_over_before_dtls_stands_takes_no_pictures_and_no_socket(camera: Recorded) -> None:
    await camera.house.connect("a")
    egress = camera.house.session("a").egress
    out = egress._out
    assert out is not None
    egress.close()

    egress.subscribe()
    agreed = sending.Negotiated(
        payload_type=99, rtx_payload_type=None, extension_ids={}, mid="0", tag_bytes=16, ssrc=1, rtx_ssrc=2
    )
    egress.connect(out.transport, agreed, out.sender)

    assert camera.stream.viewers == 0
    assert egress._out is None


async def test_a_viewer_whose_socket_is_full_skips_to_a_keyframe_and_the_other_misses_nothing(
    device: Signer, tmp_path: File, caplog: pytest.LogCaptureFixture
) -> None:
    async with pattern_stream() as stream, open_house(stream, device) as house:
        slow, quick = await house.watch("slow"), await house.watch("quick")
        egress, onlooker = house.session("slow").egress, Onlooker()
        stream.subscribe(onlooker, time.monotonic())
        list(iter(onlooker.pop, None))  # what came before
        seen = whole(quick.watcher.media)

        with full_socket(tmp_path) as (sock, address):
            path, egress._path = egress._path, Path(sock, address, lambda packet, to: None)
            await until(lambda: egress.counts.behind >= 2)
            egress._path = path
        arrived = len(slow.watcher.media)
        await until(lambda: whole(slow.watcher.media[arrived:]) > 2)

        back = by_picture(slow.watcher.media[arrived:])
        assert is_keyframe(back[0])
        assert ticks_after(back[0][0], slow.watcher.media[arrived - 1]) > 0
        assert stream.keyframe_causes["overflow"] == egress.counts.behind
        told = [record for record in caplog.records if "is behind" in record.getMessage()]
        assert 1 <= len(told) <= egress.counts.behind
        assert numbered_without_gaps(quick.watcher.media)
        assert house.session("quick").egress.counts.behind == 0
        published = len(list(iter(onlooker.pop, None)))
        await until(lambda: whole(quick.watcher.media) - seen >= published)


async def test_sender_reports_say_when_pictures_were_taken(camera: Recorded) -> None:
    call = await camera.house.connect("a")
    units = recorded()
    began_at = time.time()
    for index in itertools.count():
        now, unit = time.monotonic(), units[index % len(units)]
        camera.stream.publish(AccessUnit(units=unit.units, pts_us=index * 40_000, keyframe=unit.keyframe), now)
        await asyncio.sleep(max(0.0, began_at + (index + 1) * 0.04 - time.time()))
        reports = [report for report in call.watcher.reports if report.sender_info.packet_count]
        if len(reports) > 1:  # the first leaves with the first picture, whose delay nothing can be compared with yet
            break

    first, told = call.watcher.media[0], reports[1].sender_info
    elapsed_s = ((told.rtp_timestamp - first.timestamp) % 2**32) / 90_000
    assert told.ntp_timestamp / 2**32 - _NTP_EPOCH_S == pytest.approx(began_at + elapsed_s, abs=0.05)
    assert told.packet_count <= len(call.watcher.media)

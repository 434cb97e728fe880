"""What a viewer reports back over a real connection, and where it leads."""

from __future__ import annotations

import itertools

import pytest
from aiortc.rtp import (
    RTCP_PSFB_FIR,
    RTCP_PSFB_PLI,
    RTCP_RTPFB_NACK,
    RtcpPsfbPacket,
    RtcpRtpfbPacket,
    RtpPacket,
    unwrap_rtx,
)

from agent.media.stream import Stream
from tests.kit.arrivals import by_picture, is_keyframe, numbered_without_gaps, until, whole
from tests.kit.footage import recorded
from tests.kit.house import House, Recorded
from tests.kit.watcher import Watcher


async def test_lost_packets_are_sent_again_and_nothing_is_missed(camera: Recorded) -> None:
    lost: list[RtpPacket] = []
    watcher = Watcher(loses=lambda packet: _is_twentieth(packet, watcher, lost))
    call = await camera.house.connect("a", watcher=watcher)

    await camera.play(recorded())
    await watcher.until(lambda: watcher.pictures >= len(recorded()) - 5)

    unwrapped = [
        unwrap_rtx(packet, payload_type=lost[0].payload_type, ssrc=call.watcher.ssrc) for packet in watcher.resent
    ]
    healed = {packet.sequence_number: packet for packet in unwrapped}
    assert len(lost) > 20
    for packet in lost:
        again = healed[packet.sequence_number]
        assert (again.payload, again.timestamp, again.marker) == (packet.payload, packet.timestamp, packet.marker)
    assert {after - before for before, after in itertools.pairwise(watcher.shown)} == {3600}
    assert camera.stream.keyframe_causes == {"join": 1}
    numbers = [packet.extensions.transport_sequence_number for packet in watcher.arrived]
    assert sorted(number or 0 for number in numbers) == list(range(len(numbers)))  # one row for all that left
    assert numbered_without_gaps(watcher.resent)


def _is_twentieth(packet: RtpPacket, watcher: Watcher, lost: list[RtpPacket]) -> bool:
    """Lose every twentieth of the first 500 packets, but nothing that is sent again."""
    number = len(watcher.media)
    if packet.ssrc != watcher.ssrc or number % 20 or number > 500:
        return False
    lost.append(packet)
    return True


async def test_a_viewer_who_did_not_agree_on_rtx_is_not_sent_anything_twice(camera: Recorded) -> None:
    call = await camera.house.connect("a", watcher=Watcher(rtx=False))
    await camera.play(recorded()[:5])
    await until(lambda: whole(call.watcher.media) == 5)
    lost = call.watcher.media[3].sequence_number

    await call.watcher.report(RtcpRtpfbPacket(fmt=RTCP_RTPFB_NACK, ssrc=1, media_ssrc=call.watcher.ssrc, lost=[lost]))
    await camera.play(recorded()[5:20])
    await until(lambda: whole(call.watcher.media) == 20)

    assert numbered_without_gaps(call.watcher.arrived)
    assert camera.house.session("a").egress.counts.resent == 0


async def test_a_nack_for_another_stream_is_not_answered(camera: Recorded) -> None:
    call = await camera.house.connect("a")
    await camera.play(recorded()[:5])
    await until(lambda: whole(call.watcher.media) == 5)
    theirs, ours = (packet.sequence_number for packet in call.watcher.media[3:5])

    for ssrc, lost in ((call.watcher.ssrc ^ 1, theirs), (call.watcher.ssrc, ours)):
        await call.watcher.report(RtcpRtpfbPacket(fmt=RTCP_RTPFB_NACK, ssrc=1, media_ssrc=ssrc, lost=[lost]))
    await until(lambda: bool(call.watcher.resent))

    assert [packet.payload[:2] for packet in call.watcher.resent] == [ours.to_bytes(2, "big")]
    assert camera.house.session("a").egress.counts.resent == 1


@pytest.mark.parametrize("cause", ["pli", "fir"])
async def test_who_asks_for_a_keyframe_gets_one_and_its_cause_is_counted(
    house: House, stream: Stream, cause: str
) -> None:
    call = await house.watch("a")
    ssrc = call.watcher.ssrc
    asked, before = stream.keyframes_asked, len(by_picture(call.watcher.media))
    if cause == "pli":
        await call.watcher.report(RtcpPsfbPacket(fmt=RTCP_PSFB_PLI, ssrc=1, media_ssrc=ssrc))
    else:
        entry = ssrc.to_bytes(4, "big") + b"\x01\0\0\0"
        await call.watcher.report(RtcpPsfbPacket(fmt=RTCP_PSFB_FIR, ssrc=1, media_ssrc=0, fci=entry))

    await call.watcher.until(lambda: any(map(is_keyframe, by_picture(call.watcher.media)[before:-1])))

    assert stream.keyframe_causes[cause] == 1
    assert stream.keyframes_asked == asked + 1


async def test_what_is_not_encrypted_with_the_viewers_key_or_is_malformed_changes_nothing(
    house: House, stream: Stream
) -> None:
    call = await house.watch("a")
    (receiver,) = call.watcher.peer.getReceivers()
    pli = bytes(RtcpPsfbPacket(fmt=RTCP_PSFB_PLI, ssrc=1, media_ssrc=call.watcher.ssrc))

    for forged in (pli, pli + bytes(14), b"\x80", b"\x80\xc8", b"\x80\xce" + bytes(2000), b"\x80\x60" + bytes(40)):
        await receiver.transport.transport._send(forged)
    await receiver.transport._send_rtp(pli[:2] + b"\xff\xff" + pli[4:])  # rightly encrypted, but cut short
    await call.watcher.see(10)

    assert stream.keyframe_causes == {"join": 1}

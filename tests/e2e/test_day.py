"""A day of pictures, in simulated time: from a source's timestamps over the packets to a viewer's own count."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

from aiortc.codecs.h264 import h264_depayload
from aiortc.rtp import RtpPacket
from pylibsrtp import Policy, Session

from agent.media import rtp
from agent.media.access_unit import AccessUnit
from agent.media.packetize import Packetized
from agent.media.rtp import Layout
from agent.media.stream import Stream
from agent.media.timeline import Timeline
from agent.webrtc.srtp import Protector
from tests.kit.footage import nal
from viewer.reassembly import Packet, Reassembly, Unit

DAY_US = 24 * 3600 * 1_000_000
ORIGIN = 0xFFFF_0000  # of the RTP timestamps, which wrap within the first second, and again 13 hours later
WRAP_US = (2**32 + 2**16) * 100 // 9
_SSRC = 0xCAFE0001


def _session(kind: int) -> Session:
    return Session(Policy(key=bytes(range(28)), ssrc_type=kind, srtp_profile=Policy.SRTP_PROFILE_AEAD_AES_128_GCM))


class Sight:
    """A viewer on a stream: what it is sent goes through SRTP, and through the reassembly of `camward view`."""

    def __init__(self) -> None:
        ids = {rtp.MID: 1, rtp.TRANSPORT_CC: 4}
        self._layout = Layout.of(99, ids, ssrc=_SSRC, mid="0", playout_delay_ms=0, tag_bytes=16)
        self._protector = Protector(_session(Policy.SSRC_ANY_OUTBOUND), self._layout)
        self._receiver = _session(Policy.SSRC_ANY_INBOUND)
        self._reassembly = Reassembly()
        self._sequence = 0
        self.units: list[Unit] = []

    def take(self, packetized: Packetized, now: float) -> bool:
        for image in rtp.images(packetized, self._layout):
            number = self._sequence & 0xFFFF
            wire = self._protector.burst(
                image, 0, image.count, sequence=number, timestamp=image.timestamp, transport_number=number
            )
            self._sequence += image.count
            for at in range(0, len(wire), image.stride):
                self._arrived(RtpPacket.parse(self._receiver.unprotect(bytes(wire[at : at + image.stride]))), now)
        return False

    def _arrived(self, packet: RtpPacket, now: float) -> None:
        self.units += self._reassembly.add(
            Packet(
                sequence=packet.sequence_number,
                timestamp=packet.timestamp,
                marker=bool(packet.marker),
                data=h264_depayload(packet.payload),
            ),
            now,
        )


def _stamps() -> Iterator[int]:
    """A picture a second for a day, and thirty a second around the wraps and at the end."""
    dense_us = [*range(0, 3_000_000, 33_333), *range(WRAP_US - 1_000_000, WRAP_US + 1_000_000, 33_333)]
    dense_us += range(DAY_US - 1_000_000, DAY_US + 1, 33_333)
    yield from sorted({*range(0, DAY_US, 1_000_000), *dense_us})


def test_a_day_of_timestamps_passes_the_packetizer_and_a_viewer() -> None:
    stream, sight = Stream(ask=lambda: None, origin=ORIGIN), Sight()
    stream.subscribe(sight, 0.0)
    timeline, stamps = Timeline(), list(_stamps())
    keyframe, other = (nal(7, 20), nal(8, 6), nal(5, 3_000)), (nal(1, 700),)
    for index, pts_us in enumerate(stamps):
        is_keyframe = index % 1000 == 0
        unit = AccessUnit(units=keyframe if is_keyframe else other, pts_us=pts_us, keyframe=is_keyframe)
        now = 1_000.0 + pts_us / 1_000_000
        stream.publish(timeline.rebased(unit, now), now)

    seen = [unit.ticks for unit in sight.units]
    assert len(seen) == len(stamps)
    assert seen == [pts_us * 9 // 100 for pts_us in stamps]
    assert all(before < after for before, after in itertools.pairwise(seen))
    assert seen[-1] > 2**32  # it wrapped on the wire

"""What seams.py stands on in aiortc: when a release moves one of these, this says which."""

from __future__ import annotations

import inspect

from aiortc import RTCConfiguration, RTCPeerConnection, RTCRtpReceiver
from aiortc.jitterbuffer import JitterBuffer
from aiortc.rtcrtpparameters import RTCRtpCodecParameters, RTCRtpReceiveParameters
from aiortc.rtp import RtpPacket

from viewer import seams
from viewer.reassembly import Packet


async def test_each_packet_of_the_receiver_goes_where_the_seam_puts_it() -> None:
    peer = RTCPeerConnection(RTCConfiguration(iceServers=[]))
    receiver = peer.addTransceiver("video", direction="recvonly").receiver
    assert isinstance(getattr(receiver, seams.JITTER_BUFFER), JitterBuffer)
    taken: list[Packet] = []
    asked: list[int] = []

    def take(packet: Packet) -> bool:
        taken.append(packet)
        return True

    async def note(ssrc: int) -> None:
        asked.append(ssrc)

    seams.take_packets(receiver, take)
    codec = RTCRtpCodecParameters(mimeType="video/H264", clockRate=90_000, payloadType=99)
    receiver._RTCRtpReceiver__codecs[99] = codec  # type: ignore[attr-defined]
    receiver._send_rtcp_pli = note  # type: ignore[method-assign]
    packet = RtpPacket(
        payload_type=99, marker=1, sequence_number=7, timestamp=3000, ssrc=5, payload=b"\x65\x88\x84\x00"
    )
    await receiver._handle_rtp_packet(packet, arrival_time_ms=0)
    await peer.close()

    assert taken == [Packet(sequence=7, timestamp=3000, marker=True, data=b"\x00\x00\x00\x01\x65\x88\x84\x00")]
    assert asked == [5]


def test_a_receiver_asks_its_jitter_buffer_and_nothing_else_for_pictures() -> None:
    source = inspect.getsource(RTCRtpReceiver._handle_rtp_packet)

    assert "pli_flag, encoded_frame = self.__jitter_buffer.add(packet)" in source
    assert list(inspect.signature(JitterBuffer.add).parameters) == ["self", "packet"]
    assert RTCRtpReceiveParameters().codecs == []

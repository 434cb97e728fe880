"""The one file of the viewer that touches the private side of aiortc, and says why.

tests/viewer/test_seams.py fails when a release moves anything this stands on.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from aiortc import RTCRtpReceiver
from aiortc.rtp import AnyRtcpPacket, RtpPacket

from viewer.reassembly import Packet

JITTER_BUFFER: Final = "_RTCRtpReceiver__jitter_buffer"
DEPAYLOADED: Final = "_data"
RTCP: Final = "_handle_rtcp_packet"


class _Tap:
    """Stands where the receiver keeps its jitter buffer; the receiver's decoder never gets a picture to work on."""

    def __init__(self, take: Callable[[Packet], bool]) -> None:
        self._take = take

    def add(self, packet: RtpPacket) -> tuple[bool, None]:
        """Take a packet that was decrypted, and whose gaps were reported; True makes aiortc send a PLI."""
        ask = self._take(
            Packet(
                sequence=packet.sequence_number,
                timestamp=packet.timestamp,
                marker=bool(packet.marker),
                data=getattr(packet, DEPAYLOADED),
            )
        )
        return ask, None


def take_packets(receiver: RTCRtpReceiver, take: Callable[[Packet], bool]) -> None:
    """Give each packet to `take`, before the connection is set up; its True asks the sender for a keyframe (PLI).

    aiortc only gives decoded pictures, of a buffer that holds 512 packets: a large keyframe does not fit in.
    """
    setattr(receiver, JITTER_BUFFER, _Tap(take))


def hear_reports(receiver: RTCRtpReceiver, heard: Callable[[], None]) -> None:
    """Have `heard` called for each RTCP packet, before the connection is set up: they come also without pictures."""
    handle = getattr(receiver, RTCP)

    async def handle_rtcp_packet(packet: AnyRtcpPacket) -> None:
        heard()
        await handle(packet)

    setattr(receiver, RTCP, handle_rtcp_packet)

"""What stands in the place of aiortc's sender, and what answers agree on."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, NamedTuple

from aiortc import RTCDtlsTransport, RTCRtpCodecParameters, RTCRtpSender, RTCRtpTransceiver
from aiortc.codecs import CODECS, HEADER_EXTENSIONS, is_rtx
from aiortc.rtcdtlstransport import SRTP_AEAD_AES_128_GCM, SRTP_AEAD_AES_256_GCM, SRTP_AES128_CM_SHA1_80
from aiortc.rtcrtpparameters import RTCRtcpFeedback, RTCRtpHeaderExtensionParameters, RTCRtpSendParameters
from aiortc.rtp import AnyRtcpPacket, RtcpSrPacket

from agent.media import rtcp, rtp

_NTP_EPOCH_S: Final = 2_208_988_800  # from 1900 to 1970 (RFC 5905, section 6)
SENDER: Final = "_RTCRtpTransceiver__sender"
STARTED: Final = "_RTCRtpSender__rtp_started"
EXITED: Final = "_RTCRtpSender__rtp_exited"
LSR: Final = "_RTCRtpSender__lsr"
LSR_TIME: Final = "_RTCRtpSender__lsr_time"
_TAG_BYTES: Final = {
    SRTP_AES128_CM_SHA1_80.openssl_profile: 10,  # RFC 3711, section 5.2
    SRTP_AEAD_AES_128_GCM.openssl_profile: 16,  # RFC 7714, section 12
    SRTP_AEAD_AES_256_GCM.openssl_profile: 16,
}


def _extend_what_aiortc_negotiates() -> None:
    """Let answers take transport-wide feedback and the playout delay, of which aiortc does not know."""
    extensions, codecs = HEADER_EXTENSIONS["video"], CODECS["video"]
    known = {extension.uri for extension in extensions}
    for number, uri in enumerate((rtp.TRANSPORT_CC, rtp.PLAYOUT_DELAY), max(x.id for x in extensions) + 1):
        if uri not in known:
            extensions.append(RTCRtpHeaderExtensionParameters(id=number, uri=uri))
    transport_cc = RTCRtcpFeedback(type="transport-cc")
    for codec in codecs:
        if codec.name == "H264" and transport_cc not in codec.rtcpFeedback:
            codec.rtcpFeedback.append(transport_cc)


_extend_what_aiortc_negotiates()


@dataclass(frozen=True, slots=True, kw_only=True)
class Negotiated:
    """What offer and answer agreed on, once DTLS stands. `extension_ids` are the header extensions, by URI."""

    payload_type: int
    rtx_payload_type: int | None
    extension_ids: dict[str, int]
    mid: str
    tag_bytes: int
    ssrc: int
    rtx_ssrc: int


class Progress(NamedTuple):
    """What left, and which picture was the last: its RTP timestamp, and when it was taken in monotonic seconds."""

    packets: int
    octets: int
    timestamp: int
    captured_at: float


class Sender(RTCRtpSender):
    """Stands in for aiortc's sender: negotiates, reports (SR, SDES, BYE) and closes as that one does.

    It sends no media: `on_ready` is told when that may begin, and `progress` says what left, None before anything did.
    """

    def __init__(
        self,
        transport: RTCDtlsTransport,
        on_ready: Callable[[Negotiated], None],
        progress: Callable[[], Progress | None],
    ) -> None:
        super().__init__("video", transport)
        self._on_ready = on_ready
        self._progress = progress
        self._parameters: RTCRtpSendParameters | None = None
        self._asked: tuple[rtcp.ReferenceTime, float] | None = None

    async def send(self, parameters: RTCRtpSendParameters) -> None:
        """Begin, with what was negotiated."""
        self._parameters = parameters
        await super().send(parameters)

    async def _run_rtp(self, codec: RTCRtpCodecParameters) -> None:
        # aiortc's own loop takes pictures of a track here; its stop() waits for both of these events.
        getattr(self, STARTED).set()
        try:
            self._on_ready(self._negotiated(codec))
            await asyncio.get_running_loop().create_future()
        except asyncio.CancelledError:
            pass
        finally:
            getattr(self, EXITED).set()

    def _negotiated(self, codec: RTCRtpCodecParameters) -> Negotiated:
        parameters, ssl = self._parameters, self.transport._ssl
        assert parameters is not None and ssl is not None  # noqa: S101, PT018  # send() came first, and DTLS stands
        assert codec.payloadType is not None  # noqa: S101  # it was negotiated
        rtx = [x.payloadType for x in parameters.codecs if is_rtx(x) and x.parameters["apt"] == codec.payloadType]
        return Negotiated(
            payload_type=codec.payloadType,
            rtx_payload_type=rtx[0] if rtx else None,
            extension_ids={extension.uri: extension.id for extension in parameters.headerExtensions},
            mid=parameters.muxId,
            tag_bytes=_TAG_BYTES[ssl.get_selected_srtp_profile()],
            ssrc=self._ssrc,
            rtx_ssrc=self._rtx_ssrc,
        )

    def asked(self, clock: rtcp.ReferenceTime, now: float) -> None:
        """Answer a viewer's clock, which came at `now` (monotonic), with the next sender report (RFC 3611, 4.5)."""
        self._asked = clock, now

    async def _send_rtcp(self, packets: list[AnyRtcpPacket]) -> None:
        # A receiver sets its clock by the moment of sending, and both times of a report are of the same moment
        # (RFC 3550, section 6.4.1): the RTP time of now lies as far behind the last picture's as the clock does.
        if isinstance(report := packets[0], RtcpSrPacket) and (progress := self._progress()) is not None:
            info, since_s = report.sender_info, time.monotonic() - progress.captured_at
            info.ntp_timestamp = int((time.time() + _NTP_EPOCH_S) * 2**32)
            info.rtp_timestamp = progress.timestamp + int(since_s * 90_000) & 0xFFFFFFFF
            info.packet_count, info.octet_count = progress.packets & 0xFFFFFFFF, progress.octets & 0xFFFFFFFF
            setattr(self, LSR, info.ntp_timestamp >> 16 & 0xFFFFFFFF)
            if self._asked is not None:
                (clock, at), self._asked = self._asked, None
                packets.append(rtcp.delay_since(clock, time.monotonic() - at, self._ssrc))  # type: ignore[arg-type]
        await super()._send_rtcp(packets)

    def round_trip_s(self, lsr: int, dlsr_s: float, now: float) -> float | None:
        """Work out a round trip from a report on our last sender report; `now` is in seconds since the epoch."""
        if not lsr or lsr != getattr(self, LSR):
            return None
        return max(0.0, now - float(getattr(self, LSR_TIME)) - dlsr_s)


def place_sender(
    transceiver: RTCRtpTransceiver,
    on_ready: Callable[[Negotiated], None],
    progress: Callable[[], Progress | None],
    *,
    ssrc: int,
) -> Sender:
    """Put a `Sender` in the place of aiortc's, before the remote description is set."""
    old = transceiver.sender
    sender = Sender(old.transport, on_ready, progress)
    sender._ssrc, sender._stream_id = ssrc, old._stream_id
    transceiver.receiver._set_rtcp_ssrc(ssrc)  # whose reports would name the old one
    setattr(transceiver, SENDER, sender)
    return sender

"""What stands in the place of aiortc's sender, and what answers agree on."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable
from dataclasses import dataclass
from math import ceil
from typing import Final, NamedTuple

from aiortc import RTCDtlsTransport, RTCRtpCodecParameters, RTCRtpSender, RTCRtpTransceiver
from aiortc.codecs import CODECS, HEADER_EXTENSIONS, is_rtx
from aiortc.rtcdtlstransport import SRTP_AEAD_AES_128_GCM, SRTP_AEAD_AES_256_GCM, SRTP_AES128_CM_SHA1_80
from aiortc.rtcrtpparameters import RTCRtcpFeedback, RTCRtpHeaderExtensionParameters, RTCRtpSendParameters
from aiortc.rtp import RtcpByePacket

from agent.media import rtcp, rtp

_NTP_EPOCH_S: Final = 2_208_988_800  # from 1900 to 1970 (RFC 5905, section 6)
_LEAST_BETWEEN_REPORTS_S: Final = 0.5  # and up to a second more
SENDER: Final = "_RTCRtpTransceiver__sender"
STARTED: Final = "_RTCRtpSender__rtp_started"
EXITED: Final = "_RTCRtpSender__rtp_exited"
RTCP_STARTED: Final = "_RTCRtpSender__rtcp_started"
RTCP_EXITED: Final = "_RTCRtpSender__rtcp_exited"
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
    """Stands in for aiortc's sender: negotiates, says goodbye (BYE) and closes as that one does.

    It sends no media and wakes for no report: `on_ready` is told when media may begin, and who sends it sends the
    `report` too, once it is due, which is at `report_at` (monotonic seconds).
    """

    def __init__(self, transport: RTCDtlsTransport, on_ready: Callable[[Negotiated], None]) -> None:
        super().__init__("video", transport)
        self._on_ready = on_ready
        self.report_at = 0.0
        self._lsr, self._lsr_at = 0, 0.0
        self._parameters: RTCRtpSendParameters | None = None
        self._description = b""
        self._asked: tuple[rtcp.ReferenceTime, float] | None = None

    async def send(self, parameters: RTCRtpSendParameters) -> None:
        """Begin, with what was negotiated."""
        self._parameters = parameters
        self._description = rtcp.description(self._ssrc, parameters.rtcp.cname or "")
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

    def report(self, progress: Progress) -> bytes:
        """Make the compound packet that is due about once a second (SR, SDES; RFC 3550, section 6), to leave at once.

        Both of its times are of this moment (section 6.4.1): the RTP time lies as far behind the last picture's as the
        clock does.
        """
        now = time.monotonic()
        # At a whole second, which all viewers share: with cold caches a report costs 100 us, right behind another one
        # 3. Section 6.2 spreads them for the sake of a link that a group shares; here each goes its own way.
        self.report_at = ceil(now + _LEAST_BETWEEN_REPORTS_S)
        self._lsr_at = time.time()
        ntp = int((self._lsr_at + _NTP_EPOCH_S) * 2**32)
        self._lsr = ntp >> 16 & 0xFFFFFFFF
        packets, octets, timestamp, captured_at = progress
        timestamp += int((now - captured_at) * 90_000)
        said = rtcp.sender_report(self._ssrc, ntp=ntp, timestamp=timestamp, packets=packets, octets=octets)
        said += self._description
        if self._asked is not None:
            (clock, at), self._asked = self._asked, None
            said += rtcp.delay_since(clock, now - at, self._ssrc)
        return said

    async def _run_rtcp(self) -> None:
        # aiortc's own loop sends a report a second here; its stop() waits for both of these events.
        getattr(self, RTCP_STARTED).set()
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.get_running_loop().create_future()
        await self._send_rtcp([RtcpByePacket(sources=[self._ssrc])])
        getattr(self, RTCP_EXITED).set()

    def round_trip_s(self, lsr: int, dlsr_s: float, now: float) -> float | None:
        """Work out a round trip from a report on our last sender report; `now` is in seconds since the epoch."""
        if not lsr or lsr != self._lsr:
            return None
        return max(0.0, now - self._lsr_at - dlsr_s)


def place_sender(transceiver: RTCRtpTransceiver, on_ready: Callable[[Negotiated], None], *, ssrc: int) -> Sender:
    """Put a `Sender` in the place of aiortc's, before the remote description is set."""
    old = transceiver.sender
    sender = Sender(old.transport, on_ready)
    sender._ssrc, sender._stream_id = ssrc, old._stream_id
    transceiver.receiver._set_rtcp_ssrc(ssrc)  # whose reports would name the old one
    setattr(transceiver, SENDER, sender)
    return sender

"""The one file that touches the private side of aiortc and aioice, and says why. (`srtp.py` does so with pylibsrtp's.)

tests/agent/webrtc/test_seams.py fails when a release moves anything this stands on.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path as File
from typing import Final

import pylibsrtp
from aioice import Candidate, stun
from aioice.ice import CandidatePair, Connection, StunProtocol
from aiortc import (
    RTCCertificate,
    RTCConfiguration,
    RTCDtlsTransport,
    RTCPeerConnection,
    RTCRtpCodecParameters,
    RTCRtpSender,
    RTCRtpTransceiver,
)
from aiortc.codecs import CODECS, HEADER_EXTENSIONS, is_rtx
from aiortc.rtcdtlstransport import (
    SRTP_AEAD_AES_128_GCM,
    SRTP_AEAD_AES_256_GCM,
    SRTP_AES128_CM_SHA1_80,
    SRTP_PROFILES,
    SRTPProtectionProfile,
)
from aiortc.rtcrtpparameters import RTCRtcpFeedback, RTCRtpHeaderExtensionParameters, RTCRtpSendParameters
from aiortc.rtp import AnyRtcpPacket, RtcpSrPacket
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from OpenSSL import SSL

from agent.media import rtcp, rtp
from agent.webrtc.path import Path

_NTP_EPOCH_S: Final = 2_208_988_800  # from 1900 to 1970 (RFC 5905, section 6)
_DTLS_1_2: Final = 0xFEFD  # RFC 6347, section 4.1; pyOpenSSL names only the versions of TLS
CERTIFICATES: Final = "_RTCPeerConnection__certificates"
SENDER: Final = "_RTCRtpTransceiver__sender"
STARTED: Final = "_RTCRtpSender__rtp_started"
EXITED: Final = "_RTCRtpSender__rtp_exited"
OCTETS: Final = "_RTCRtpSender__octet_count"
PACKETS: Final = "_RTCRtpSender__packet_count"
DATA_RECEIVED: Final = "data_received"
MAX_SIZE: Final = "max_size"
GATHER: Final = "gather_candidates"
REQUEST_RECEIVED: Final = "request_received"
ADD_CANDIDATE: Final = "_add_remote_candidate"
CONNECT: Final = "_RTCPeerConnection__connect"
TURN_CLIENT: Final = "_TurnTransport__inner_protocol"
_MOST_UNSENT: Final = 128 * 1024  # bytes that wait for a relay over TCP: half a second of 2 Mbit/s
_LARGEST_DATAGRAM: Final = 2048  # more than any MTU that a viewer's packets pass
LSR: Final = "_RTCRtpSender__lsr"
LSR_TIME: Final = "_RTCRtpSender__lsr_time"
_CIPHERS: Final = b"ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-ECDSA-AES256-GCM-SHA384"
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


def srtp_profiles(flags: str) -> list[SRTPProtectionProfile]:
    """Order the SRTP profiles by their cost on a processor with these flags, as /proc/cpuinfo has them.

    GCM needs AES instructions to be the cheaper one; 256 bits never are.
    """
    has_aes = "aes" in flags.split()
    order = (
        [SRTP_AEAD_AES_128_GCM, SRTP_AES128_CM_SHA1_80] if has_aes else [SRTP_AES128_CM_SHA1_80, SRTP_AEAD_AES_128_GCM]
    )
    return [profile for profile in (*order, SRTP_AEAD_AES_256_GCM) if profile in SRTP_PROFILES]


def _processor_flags() -> str:
    lines = File("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    return next((line.partition(":")[2] for line in lines if line.startswith(("flags", "Features"))), "")


_PROFILES: Final = srtp_profiles(_processor_flags())


class DeviceCertificate(RTCCertificate):
    """The device's operational certificate in DTLS, with forward secrecy and AEAD only (RFC 8827, section 6.5)."""

    def _create_ssl_context(self, srtp_profiles: list[SRTPProtectionProfile]) -> SSL.Context:
        # aiortc has no option for the ciphers and accepts CBC; it asks its certificate to make the context.
        context = super()._create_ssl_context(_PROFILES)
        context.set_cipher_list(_CIPHERS)
        context.set_min_proto_version(_DTLS_1_2)
        return context


def peer_connection(key: ec.EllipticCurvePrivateKey, certificate: x509.Certificate) -> RTCPeerConnection:
    """Make a peer connection that shows this certificate, and asks no STUN server that nobody configured."""
    connection = RTCPeerConnection(RTCConfiguration(iceServers=[]))
    # aiortc has no `certificates` in its configuration; they are read when the first transceiver is made.
    setattr(connection, CERTIFICATES, [DeviceCertificate(key=key, cert=certificate)])
    return connection


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


class Sender(RTCRtpSender):
    """Stands in for aiortc's sender: negotiates, reports (SR, SDES, BYE) and closes as that one does.

    It sends no media: `on_ready` is told when that may begin, and `sent` takes note of what left.
    """

    def __init__(self, transport: RTCDtlsTransport, on_ready: Callable[[Negotiated], None]) -> None:
        super().__init__("video", transport)
        self._on_ready = on_ready
        self._parameters: RTCRtpSendParameters | None = None
        self._asked: tuple[rtcp.ReferenceTime, float] | None = None
        self._captured: tuple[float, int] | None = None

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

    def sent(self, *, packets: int, octets: int) -> None:
        """Count what left, for sender reports and statistics."""
        setattr(self, PACKETS, getattr(self, PACKETS) + packets)
        setattr(self, OCTETS, getattr(self, OCTETS) + octets)

    def asked(self, clock: rtcp.ReferenceTime) -> None:
        """Answer a viewer's clock with the next sender report: so it learns the round trip, and what our clock says."""
        self._asked = clock, time.monotonic()

    def captured(self, wall_s: float, rtp_timestamp: int) -> None:
        """Say when the picture of this RTP timestamp was taken, in seconds since the epoch."""
        self._captured = wall_s, rtp_timestamp

    async def _send_rtcp(self, packets: list[AnyRtcpPacket]) -> None:
        # A receiver sets its clock by the moment of sending, and both times of a report are of the same moment
        # (RFC 3550, section 6.4.1): the RTP time of now lies as far behind the last picture's as the clock does.
        if isinstance(report := packets[0], RtcpSrPacket) and self._captured is not None:
            now_s, (wall_s, rtp_timestamp) = time.time(), self._captured
            ntp = int((now_s + _NTP_EPOCH_S) * 2**32)
            report.sender_info.ntp_timestamp = ntp
            report.sender_info.rtp_timestamp = rtp_timestamp + int((now_s - wall_s) * 90_000) & 0xFFFFFFFF
            setattr(self, LSR, ntp >> 16 & 0xFFFFFFFF)
            if self._asked is not None:
                (clock, at), self._asked = self._asked, None
                packets.append(rtcp.delay_since(clock, time.monotonic() - at, self._ssrc))  # type: ignore[arg-type]
        await super()._send_rtcp(packets)

    def round_trip_s(self, lsr: int, dlsr_s: float, now: float) -> float | None:
        """Work out a round trip from a report on our last sender report; `now` is in seconds since the epoch."""
        if not lsr or lsr != getattr(self, LSR):
            return None
        return max(0.0, now - float(getattr(self, LSR_TIME)) - dlsr_s)


def place_sender(transceiver: RTCRtpTransceiver, on_ready: Callable[[Negotiated], None]) -> Sender:
    """Put a `Sender` in the place of aiortc's, before the remote description is set."""
    old = transceiver.sender
    sender = Sender(old.transport, on_ready)
    sender._ssrc, sender._stream_id = old._ssrc, old._stream_id  # the receiver's reports name this SSRC already
    setattr(transceiver, SENDER, sender)
    return sender


def answer_passively(transport: RTCDtlsTransport) -> None:
    """Answer as DTLS server: the viewer, whose path stands first, then begins the handshake (RFC 8842, section 5.3)."""
    transport._set_role("server")


def on_rtcp(transport: RTCDtlsTransport, take: Callable[[bytes], None]) -> None:
    """Give each compound RTCP packet to `take`, decrypted, at once: aiortc's way costs a queue and two tasks."""
    connection = transport.transport._connection
    queue = connection.data_received

    def data_received(data: bytes, component: int) -> None:
        srtp = transport._rx_srtp
        if not data or not 128 <= data[0] < 192:  # RFC 7983, section 7
            queue(data, component)
        elif srtp is not None and len(data) > 1 and 192 <= data[1] < 224:  # RFC 5761, section 4
            try:
                report = srtp.unprotect_rtcp(data)
            except (pylibsrtp.Error, ValueError):
                return
            take(report)

    setattr(connection, DATA_RECEIVED, data_received)


def gather_by(transport: RTCDtlsTransport, gather: Callable[[Connection], Awaitable[None]]) -> Connection:
    """Let `gather` open the sockets. aioice's way takes every address there is, one server of a kind, and 5 s."""
    connection = transport.transport._connection

    async def gather_candidates() -> None:
        await gather(connection)
        connection._local_candidates_end = True  # connect() demands it; more may follow all the same

    setattr(connection, GATHER, gather_candidates)
    return connection


def speak_only(connection: Connection, may_probe: Callable[[str, int], bool]) -> None:
    """Speak to these addresses alone, however they are learnt: from a candidate, a name in it, or a check of theirs."""
    received, added = connection.request_received, connection._add_remote_candidate

    def request_received(message: stun.Message, addr: tuple[str, int], protocol: StunProtocol) -> None:
        if may_probe(*addr):
            received(message, addr, protocol)

    def add_remote_candidate(remote_candidate: Candidate, network_host: str) -> None:
        if may_probe(network_host, remote_candidate.port):
            added(remote_candidate, network_host)

    setattr(connection, REQUEST_RECEIVED, request_received)
    setattr(connection, ADD_CANDIDATE, add_remote_candidate)


def use(connection: Connection, protocol: StunProtocol) -> None:
    """Take a socket of ours into use, also after the viewer's candidates came (RFC 8838, section 10)."""
    connection._protocols.append(protocol)
    for remote in connection._remote_candidates:
        connection._pair_remote_candidate(remote)
    connection.sort_check_list()


def offer(connection: Connection, candidate: Candidate) -> None:
    """Count a candidate among those that the viewer is told of; what stands here before the answer stands in it."""
    connection._local_candidates.append(candidate)


async def connect(peer: RTCPeerConnection) -> None:
    """Begin ICE and then DTLS: aiortc does so itself, but only where the answer had a candidate."""
    await getattr(peer, CONNECT)()


def nominated(transport: RTCDtlsTransport) -> CandidatePair | None:
    """Give the pair that media goes over now; ICE may come to another one later."""
    return transport.transport._connection._nominated.get(1)


def relay(transport: asyncio.DatagramTransport) -> Callable[[bytes, tuple[str, int]], None]:
    """Give what sends through a relay; it raises BlockingIOError when the way to the relay does not keep up.

    aioice would let the packets pile up in memory.
    """
    way = getattr(transport, TURN_CLIENT).transport

    def sendto(data: bytes, address: tuple[str, int]) -> None:
        if way.get_write_buffer_size() > _MOST_UNSENT:
            raise BlockingIOError
        transport.sendto(data, address)

    return sendto


def path(pair: CandidatePair) -> Path:
    """Open a path of ours over this pair. A pair with a relay has no socket of its own."""
    transport = pair.protocol.transport
    sock = transport.get_extra_info("socket")
    if sock is None:
        return Path(None, pair.remote_addr, relay(transport))
    # asyncio makes room for 256 KiB before each datagram it receives, which costs ten times what receiving does.
    setattr(transport, MAX_SIZE, _LARGEST_DATAGRAM)
    return Path(sock.dup(), pair.remote_addr, transport.sendto)

"""The one file that touches the private side of aiortc and aioice, and says why. (`srtp.py` does so with pylibsrtp's.)

tests/agent/webrtc/test_seams.py fails when a release moves anything this stands on.
"""

from __future__ import annotations

import asyncio
import contextlib
import struct
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path as File
from typing import Any, Final, NamedTuple

import pylibsrtp
from aioice import Candidate, ice, stun
from aioice.ice import CandidatePair, Connection, StunProtocol
from aiortc import (
    RTCBundlePolicy,
    RTCCertificate,
    RTCConfiguration,
    RTCDtlsTransport,
    RTCPeerConnection,
    RTCRtpCodecParameters,
    RTCRtpSender,
    RTCRtpTransceiver,
    RTCSctpTransport,
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
from agent.webrtc.guard import MAX_QUEUED, Drops, Guard, Kind
from agent.webrtc.inbox import Inbox
from agent.webrtc.path import Path
from agent.webrtc.records import datagrams

_NTP_EPOCH_S: Final = 2_208_988_800  # from 1900 to 1970 (RFC 5905, section 6)
_DTLS_1_2: Final = 0xFEFD  # RFC 6347, section 4.1; pyOpenSSL names only the versions of TLS
BUNDLE: Final = RTCBundlePolicy.MAX_BUNDLE  # else aiortc makes a transport for a data channel, and discards it
CERTIFICATES: Final = "_RTCPeerConnection__certificates"
SENDER: Final = "_RTCRtpTransceiver__sender"
STARTED: Final = "_RTCRtpSender__rtp_started"
EXITED: Final = "_RTCRtpSender__rtp_exited"
DATA_RECEIVED: Final = "data_received"
REMOVE_READER, ADD_READER, READ_READY = "_remove_reader", "_add_reader", "_read_ready"
CHECK_STATE: Final = "check_state"
GUARD: Final = "camward_guard"  # a name of ours on aioice's connections
WRITE_SSL: Final = "_write_ssl"
MAX_SIZE: Final = "max_size"
SOCKET: Final = "StunProtocol"
PARSE: Final = "parse_message"
_MAX_FLIGHT_BYTES: Final = 65536  # that are read at once; what is more is read next
_RECEIVE_BYTES: Final = 2048  # more than a datagram may have, so that a longer one is seen to be
CONSENT_FAILURES: Final = 4  # checks every 4 to 6 s, each waited for half a second: consent ends within 26 s
HANDLE_DATA: Final = "_handle_data"
_SCTP_BYTES: Final = 64 * 1024  # what a viewer may have under way, as the receive window says too
_SCTP_CHUNKS: Final = 256
_SCTP_STREAMS: Final = 4
GATHER: Final = "gather_candidates"
REQUEST_RECEIVED: Final = "request_received"
ADD_CANDIDATE: Final = "_add_remote_candidate"
CONNECT: Final = "_RTCPeerConnection__connect"
TURN_CLIENT: Final = "_TurnTransport__inner_protocol"
_MOST_UNSENT: Final = 128 * 1024  # bytes that wait for a relay over TCP: half a second of 2 Mbit/s
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
ice.CONSENT_FAILURES = CONSENT_FAILURES  # its own 6 take 33 s; RFC 7675, section 5.1: 30 at most


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
    connection = RTCPeerConnection(RTCConfiguration(iceServers=[], bundlePolicy=BUNDLE))
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


def answer_passively(transport: RTCDtlsTransport) -> None:
    """Answer as DTLS server: the viewer, whose path stands first, then begins the handshake (RFC 8842, section 5.3)."""
    transport._set_role("server")


def send_by_records(transport: RTCDtlsTransport) -> None:
    """Send each flight of DTLS whole: aiortc sends its first 1500 bytes, cut wherever that is, and no more."""

    async def write_ssl() -> None:
        assert transport._ssl is not None  # noqa: S101  # aiortc calls this once DTLS has begun
        flight = b""
        with contextlib.suppress(SSL.Error):  # raised when no more is there
            while True:
                flight += transport._ssl.bio_read(_MAX_FLIGHT_BYTES)
        for datagram in datagrams(flight):
            await transport.transport._send(datagram)

    setattr(transport, WRITE_SSL, write_ssl)


def on_rtcp(transport: RTCDtlsTransport, take: Callable[[bytes], None], drops: Drops) -> None:
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
                drops.forged += 1
                return
            take(report)

    setattr(connection, DATA_RECEIVED, data_received)


class GuardedSocket(StunProtocol):
    """Stands in for aioice's side of a socket: all that arrives has to pass the guard, where its connection has one.

    aioice answers whoever asks, takes any bytes for STUN or data, and raises where an attribute is too short.
    """

    def __init__(self, receiver: Connection) -> None:
        super().__init__(receiver)
        self._guard: Guard | None = getattr(receiver, GUARD, None)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin to hear."""
        super().connection_made(transport)
        if self._guard is not None:
            # asyncio makes room for 256 KiB before each datagram that it receives: ten times the cost of receiving.
            setattr(transport, MAX_SIZE, _RECEIVE_BYTES)

    def datagram_received(self, data: bytes | str, addr: tuple[Any, ...]) -> None:
        """Hand a datagram on, if it may pass."""
        guard = self._guard
        if guard is None or isinstance(data, str):
            super().datagram_received(data, addr)
            return
        kind = guard.sort(data, (self.id, addr[0], addr[1]))
        if kind is Kind.DATA:
            self.receiver.data_received(data, self.local_candidate.component)
        elif kind is Kind.CHECK:
            self._check(guard, data, (addr[0], addr[1]))
        elif kind is Kind.RESPONSE:
            self._response(guard, data, (addr[0], addr[1]))

    def _check(self, guard: Guard, data: bytes, addr: tuple[str, int]) -> None:
        ours = self.receiver
        if guard.proves(
            data,
            (self.id, *addr),
            ours=ours.local_username,
            theirs=ours.remote_username,
            password=ours.local_password,
        ) and (message := _stun_message(guard, data)):
            ours.request_received(message, addr, self)

    def _response(self, guard: Guard, data: bytes, addr: tuple[str, int]) -> None:
        transaction = self.transactions.get(data[8:20])
        if transaction is None:
            guard.drops.unasked += 1
        elif message := _stun_message(guard, data):
            transaction.response_received(message, addr)


def _stun_message(guard: Guard, data: bytes) -> stun.Message | None:
    try:
        return stun.parse_message(data)
    except ValueError:
        guard.drops.malformed += 1
        return None


_parse_as_aioice_does: Final = stun.parse_message


def parse_stun(data: bytes) -> stun.Message:
    """Read a STUN message, also a TURN server's. Errors: ValueError, where aioice may raise struct.error as well."""
    try:
        return _parse_as_aioice_does(data)
    except struct.error as error:
        raise ValueError("an attribute of the wrong length") from error


setattr(ice, SOCKET, GuardedSocket)  # a connection makes its sockets by this name
setattr(stun, PARSE, parse_stun)  # and they and TURN's clients read by this one


def put_guard(transport: RTCDtlsTransport, guard: Guard) -> None:
    """Put a guard before the sockets that this transport is going to open, and bound what waits for DTLS."""
    connection = transport.transport._connection
    queue = connection._queue

    def data_received(data: bytes, component: int) -> None:
        if queue.qsize() < MAX_QUEUED:
            queue.put_nowait((data, component))
        else:
            guard.drops.overflow += 1

    def check_state(pair: CandidatePair, state: CandidatePair.State) -> None:
        Connection.check_state(connection, pair, state)
        if state is CandidatePair.State.SUCCEEDED:
            for data in guard.succeeded((pair.protocol.id, *pair.remote_addr)):
                connection.data_received(data, pair.component)

    def finish_checks() -> None:
        # aioice drops the checks under way once a pair is nominated, and never begins them again. Where the viewer has
        # sent a check of its own it may have chosen that pair, and will send its data there; where it has not yet, a
        # pair that has failed is checked again when its check comes.
        if transport.transport.state != "completed":
            return
        for pair in connection._check_list:
            if pair.state is CandidatePair.State.IN_PROGRESS:
                pair.task = None
                if guard.has_heard((pair.protocol.id, *pair.remote_addr)):
                    connection.check_start_task(pair)
                else:
                    connection.check_state(pair, CandidatePair.State.FAILED)

    setattr(connection, GUARD, guard)
    transport.transport.on("statechange", finish_checks)
    setattr(connection, DATA_RECEIVED, data_received)
    setattr(connection, CHECK_STATE, check_state)


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


def path(pair: CandidatePair, inbox: Inbox) -> Path:
    """Open a path of ours over this pair, which `inbox` reads instead of asyncio for as long as it is open.

    A pair with a relay has no socket of its own; it stays asyncio's.
    """
    transport, loop = pair.protocol.transport, asyncio.get_running_loop()
    sock = transport.get_extra_info("socket")
    if sock is None:
        return Path(None, pair.remote_addr, relay(transport))

    def give_back() -> None:
        if not transport.is_closing():
            getattr(loop, ADD_READER)(sock.fileno(), getattr(transport, READ_READY))

    own = sock.dup()
    getattr(loop, REMOVE_READER)(sock.fileno())
    inbox.join(own, pair.protocol.datagram_received)
    return Path(own, pair.remote_addr, transport.sendto, inbox=inbox, on_close=give_back)


def bound_sctp(sctp: RTCSctpTransport, misused: Callable[[], None]) -> None:
    """Bound what a viewer can have SCTP keep, and tell `misused` of one who sends what a data channel has no use for.

    aiortc announces a receive window and does not hold anybody to it, and raises on what it does not expect.
    """
    handle = getattr(sctp, HANDLE_DATA)
    sctp._advertised_rwnd = _SCTP_BYTES

    async def handle_data(data: bytes) -> None:
        try:
            await handle(data)
        except ConnectionError:
            raise
        except Exception:  # noqa: BLE001  # its parser has as many kinds as that of SDP
            misused()
            return
        streams = sctp._inbound_streams
        chunks = sum(len(stream.reassembly) for stream in streams.values()) + len(sctp._sack_misordered)
        if sctp._advertised_rwnd < 0 or chunks > _SCTP_CHUNKS or len(streams) > _SCTP_STREAMS:
            misused()

    setattr(sctp, HANDLE_DATA, handle_data)

"""Certificates, ciphers and flights of DTLS, and what comes over it."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from pathlib import Path as File
from typing import Final

from aiortc import RTCBundlePolicy, RTCCertificate, RTCConfiguration, RTCDtlsTransport, RTCPeerConnection
from aiortc.rtcdtlstransport import (
    SRTP_AEAD_AES_128_GCM,
    SRTP_AEAD_AES_256_GCM,
    SRTP_AES128_CM_SHA1_80,
    SRTP_PROFILES,
    SRTPProtectionProfile,
)
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from OpenSSL import SSL
from pylibsrtp import Session

from agent.webrtc.guard import is_report
from agent.webrtc.records import datagrams
from agent.webrtc.seams.sockets import DATA_RECEIVED, REPORT_RECEIVED

_DTLS_1_2: Final = 0xFEFD  # RFC 6347, section 4.1; pyOpenSSL names only the versions of TLS
BUNDLE: Final = RTCBundlePolicy.MAX_BUNDLE  # else aiortc makes a transport for a data channel, and discards it
CERTIFICATES: Final = "_RTCPeerConnection__certificates"
WRITE_SSL: Final = "_write_ssl"
_MAX_FLIGHT_BYTES: Final = 65536  # that are read at once; what is more is read next
_CIPHERS: Final = b"ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-ECDSA-AES256-GCM-SHA384"


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


def on_rtcp(transport: RTCDtlsTransport, take: Callable[[bytes], None], begin: Callable[[Session], None]) -> None:
    """Give each report to `take` at once, protected as it came: aiortc's way costs a queue and two tasks.

    `begin` gets what unprotects them, when DTLS stands.
    """
    connection = transport.transport._connection
    queue = connection.data_received

    def data_received(data: bytes, component: int) -> None:
        if not data or not 128 <= data[0] < 192:  # RFC 7983, section 7
            queue(data, component)
        elif is_report(data):
            take(data)

    def on_state() -> None:
        if transport.state == "connected":
            begin(transport._rx_srtp)

    transport.on("statechange", on_state)
    setattr(connection, DATA_RECEIVED, data_received)
    setattr(connection, REPORT_RECEIVED, take)

"""The one file that touches the private side of aiortc and aioice, and says why.

tests/agent/webrtc/test_seams.py fails when a release moves anything this stands on.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from aiortc import RTCCertificate, RTCConfiguration, RTCPeerConnection, RTCRtpSender
from aiortc.rtcdtlstransport import SRTPProtectionProfile
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from OpenSSL import SSL

_DTLS_1_2: Final = 0xFEFD  # RFC 6347, section 4.1; pyOpenSSL names only the versions of TLS
CERTIFICATES: Final = "_RTCPeerConnection__certificates"
KEYFRAME_REQUEST: Final = "_send_keyframe"
_CIPHERS: Final = b"ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-ECDSA-AES256-GCM-SHA384"


class DeviceCertificate(RTCCertificate):
    """The device's operational certificate in DTLS, with forward secrecy and AEAD only (RFC 8827, section 6.5)."""

    def _create_ssl_context(self, srtp_profiles: list[SRTPProtectionProfile]) -> SSL.Context:
        # aiortc has no option for the ciphers and accepts CBC; it asks its certificate to make the context.
        context = super()._create_ssl_context(srtp_profiles)
        context.set_cipher_list(_CIPHERS)
        context.set_min_proto_version(_DTLS_1_2)
        return context


def peer_connection(key: ec.EllipticCurvePrivateKey, certificate: x509.Certificate) -> RTCPeerConnection:
    """Make a peer connection that shows this certificate, and asks no STUN server that nobody configured."""
    connection = RTCPeerConnection(RTCConfiguration(iceServers=[]))
    # aiortc has no `certificates` in its configuration; they are read when the first transceiver is made.
    setattr(connection, CERTIFICATES, [DeviceCertificate(key=key, cert=certificate)])
    return connection


def on_keyframe_request(sender: RTCRtpSender, request: Callable[[], None]) -> None:
    """Call `request` for each PLI and FIR: for encoded frames aiortc sets a flag that nothing reads."""
    setattr(sender, KEYFRAME_REQUEST, request)

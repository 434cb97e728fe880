"""What seams.py stands on in aiortc: when a release moves one of these, this says which."""

from __future__ import annotations

import inspect

from aiortc import RTCPeerConnection
from aiortc.rtcdtlstransport import SRTP_PROFILES, RTCCertificate
from OpenSSL import SSL

from agent.webrtc import seams
from protocol.names import Role, device_id
from tests.kit.caller import TrustTree


async def test_aiortc_reads_its_certificates_where_the_seam_puts_ours() -> None:
    device = TrustTree().leaf(Role.DEVICE, device_id(bytes(16)))
    stock = RTCPeerConnection()
    assert isinstance(getattr(stock, seams.CERTIFICATES), list)
    await stock.close()

    peer = seams.peer_connection(device.key, device.chain[0])
    transceiver = peer.addTransceiver("video")
    (fingerprint, *_) = [
        entry.value
        for entry in transceiver.sender.transport.getLocalParameters().fingerprints
        if entry.algorithm == "sha-256"
    ]
    await peer.close()

    digest = device.chain[0].fingerprint(device.chain[0].signature_hash_algorithm)
    assert fingerprint == digest.hex(":").upper()


def test_aiortc_asks_its_certificate_for_the_dtls_context() -> None:
    assert list(inspect.signature(RTCCertificate._create_ssl_context).parameters) == ["self", "srtp_profiles"]


def test_the_dtls_context_offers_only_forward_secret_aead_ciphers() -> None:
    device = TrustTree().leaf(Role.DEVICE, device_id(bytes(16)))
    certificate = seams.DeviceCertificate(key=device.key, cert=device.chain[0])

    ciphers = SSL.Connection(certificate._create_ssl_context(SRTP_PROFILES)).get_cipher_list()

    tls_1_2 = [cipher for cipher in ciphers if not cipher.startswith("TLS_")]
    assert tls_1_2
    assert all(cipher.startswith("ECDHE-ECDSA-") and ("GCM" in cipher or "CHACHA20" in cipher) for cipher in tls_1_2)

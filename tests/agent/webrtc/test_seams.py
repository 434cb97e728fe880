"""What seams.py stands on in aiortc: when a release moves one of these, this says which."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import AsyncIterator

import aioice
import pytest
from aiortc import RTCPeerConnection, RTCRtpSender, RTCSessionDescription
from aiortc.codecs import CODECS, HEADER_EXTENSIONS
from aiortc.rtcdtlstransport import (
    SRTP_AEAD_AES_128_GCM,
    SRTP_AEAD_AES_256_GCM,
    SRTP_AES128_CM_SHA1_80,
    SRTP_PROFILES,
    RTCCertificate,
    RTCDtlsTransport,
)
from OpenSSL import SSL

from agent.media import rtp
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


@pytest.fixture
async def stock() -> AsyncIterator[RTCPeerConnection]:
    """A connection of aiortc as it is, with a transceiver."""
    peer = RTCPeerConnection()
    peer.addTransceiver("video", direction="sendonly")
    yield peer
    await peer.close()


def _source(thing: object) -> str:
    return inspect.getsource(thing)  # type: ignore[arg-type]


async def test_a_transceiver_keeps_its_sender_where_ours_is_put(stock: RTCPeerConnection) -> None:
    (transceiver,) = stock.getTransceivers()

    assert getattr(transceiver, seams.SENDER) is transceiver.sender


@pytest.mark.parametrize(
    "name",
    [
        seams.STARTED,
        seams.EXITED,
        seams.OCTETS,
        seams.PACKETS,
        seams.LSR,
        seams.LSR_TIME,
        "_ssrc",
        "_rtx_ssrc",
        "_stream_id",
    ],
)
async def test_a_sender_keeps_what_ours_reads_and_writes(stock: RTCPeerConnection, name: str) -> None:
    assert hasattr(stock.getSenders()[0], name), f"RTCRtpSender has no {name} any more"


def test_a_sender_runs_its_media_in_the_method_that_ours_replaces() -> None:
    assert list(inspect.signature(RTCRtpSender._run_rtp).parameters) == ["self", "codec"]
    assert "self._run_rtp(parameters.codecs[0])" in _source(RTCRtpSender.send)
    assert "__rtp_exited.wait()" in _source(RTCRtpSender.stop)


def test_sender_reports_are_made_of_what_ours_sets() -> None:
    source = _source(RTCRtpSender._run_rtcp)
    for piece in ("self.__packet_count", "self.__octet_count", "self.__lsr =", "self.__lsr_time =", "self._send_rtcp("):
        assert piece in source
    assert "bytes(packet)" in _source(RTCRtpSender._send_rtcp)  # so that ours may append bytes


def test_ice_hands_datagrams_that_are_no_stun_to_the_method_that_ours_replaces() -> None:
    assert "self.receiver.data_received(data, self.local_candidate.component)" in _source(
        aioice.ice.StunProtocol.datagram_received
    )
    assert list(inspect.signature(aioice.Connection.data_received).parameters) == ["self", "data", "component"]


async def test_ice_keeps_the_nominated_pair_and_its_socket_where_paths_are_made_from() -> None:
    one, two = aioice.Connection(ice_controlling=True), aioice.Connection(ice_controlling=False)
    for mine, other in ((one, two), (two, one)):
        await mine.gather_candidates()
        mine.remote_username, mine.remote_password = other.local_username, other.local_password
    for mine, other in ((one, two), (two, one)):
        for candidate in other.local_candidates:
            await mine.add_remote_candidate(candidate)
        await mine.add_remote_candidate(None)
    await asyncio.gather(one.connect(), two.connect())
    pair = one._nominated[1]
    path = seams.path(pair)

    path.send(memoryview(b"hello"), 5)

    assert await two.recv() == b"hello"
    assert path.way == "gso"
    assert hasattr(type(pair.protocol.transport), seams.MAX_SIZE), "asyncio takes its buffer's size from elsewhere"
    path.close()
    await one.send(b"still there")
    assert await two.recv() == b"still there"
    await asyncio.gather(one.close(), two.close())


def test_dtls_keeps_its_srtp_sessions_and_its_role_where_ours_looks() -> None:
    source = _source(RTCDtlsTransport)
    for piece in ("self._tx_srtp = Session(", "self._rx_srtp = Session(", "def _set_role(", "self._ssl ="):
        assert piece in source, f"RTCDtlsTransport has no {piece} any more"


async def test_an_answer_takes_the_passive_role_and_all_that_was_offered(stock: RTCPeerConnection) -> None:
    device = TrustTree().leaf(Role.DEVICE, device_id(bytes(16)))
    peer = seams.peer_connection(device.key, device.chain[0])
    transceiver = peer.addTransceiver("video", direction="sendonly")
    seams.place_sender(transceiver, lambda agreed: None)
    offer = (await stock.createOffer()).sdp.replace("sendonly", "recvonly")

    await peer.setRemoteDescription(RTCSessionDescription(sdp=offer, type="offer"))
    seams.answer_passively(transceiver.sender.transport)
    answer = (await peer.createAnswer()).sdp
    await peer.close()

    assert "a=setup:passive" in answer
    assert "transport-cc" in answer
    assert rtp.TRANSPORT_CC in answer
    assert rtp.PLAYOUT_DELAY in answer
    assert "rtx/90000" in answer
    assert f"a=ssrc:{transceiver.sender._ssrc}" in answer


def test_what_aiortc_negotiates_is_extended_once() -> None:
    seams._extend_what_aiortc_negotiates()

    uris = [extension.uri for extension in HEADER_EXTENSIONS["video"]]
    assert sorted(set(uris)) == sorted(uris)
    assert len({extension.id for extension in HEADER_EXTENSIONS["video"]}) == len(uris)
    for codec in CODECS["video"]:
        kinds = [feedback.type for feedback in codec.rtcpFeedback]
        assert kinds.count("transport-cc") == (codec.name == "H264")


def test_srtp_profiles_go_by_what_the_processor_has() -> None:
    assert seams.srtp_profiles("fp asimd aes pmull sha1")[0] is SRTP_AEAD_AES_128_GCM
    assert seams.srtp_profiles("half thumb fastmult vfp")[0] is SRTP_AES128_CM_SHA1_80
    assert seams.srtp_profiles("half aesthetic")[0] is SRTP_AES128_CM_SHA1_80
    for flags in ("aes", ""):
        profiles = seams.srtp_profiles(flags)
        assert profiles[-1] is SRTP_AEAD_AES_256_GCM
        assert sorted(map(str, profiles)) == sorted(map(str, SRTP_PROFILES))

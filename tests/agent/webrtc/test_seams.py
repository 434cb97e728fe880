"""What seams/ stands on in aiortc's certificate and sender: when a release moves one of these, this says which.

The rest is in test_seams_transport.py, test_negotiation.py and, for srtp.py, test_srtp.py.
"""

from __future__ import annotations

import asyncio
import inspect
import time

import pytest
from aiortc import (
    RTCPeerConnection,
    RTCRtpReceiver,
    RTCRtpSender,
    RTCRtpTransceiver,
)
from aiortc.codecs import CODECS, is_rtx
from aiortc.rtcdtlstransport import (
    SRTP_PROFILES,
    RTCCertificate,
    RTCDtlsTransport,
)
from aiortc.rtp import RtcpPacket, RtcpSenderInfo, RtcpSrPacket
from OpenSSL import SSL

from agent.media import rtcp
from agent.webrtc.seams import dtls, sending
from protocol.names import Role, device_id
from tests.kit.caller import Signer, TrustTree
from tests.kit.foundations import moved, takes
from tests.kit.house import House


async def test_aiortc_reads_its_certificates_where_the_seam_puts_ours(device: Signer) -> None:
    stock = RTCPeerConnection()
    assert isinstance(getattr(stock, dtls.CERTIFICATES, None), list), moved(f"RTCPeerConnection.{dtls.CERTIFICATES}")
    await stock.close()

    peer = dtls.peer_connection(device.key, device.chain[0])
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
    assert takes(RTCCertificate._create_ssl_context) == ["self", "srtp_profiles"]
    assert "._create_ssl_context(" in inspect.getsource(RTCDtlsTransport.start), moved("the call from start()")


def test_the_dtls_context_offers_only_forward_secret_aead_ciphers() -> None:
    device = TrustTree().leaf(Role.DEVICE, device_id(bytes(16)))
    certificate = dtls.DeviceCertificate(key=device.key, cert=device.chain[0])

    ciphers = SSL.Connection(certificate._create_ssl_context(SRTP_PROFILES)).get_cipher_list()

    tls_1_2 = [cipher for cipher in ciphers if not cipher.startswith("TLS_")]
    assert tls_1_2
    assert all(cipher.startswith("ECDHE-ECDSA-") and ("GCM" in cipher or "CHACHA20" in cipher) for cipher in tls_1_2)


def test_a_transceiver_keeps_its_sender_where_the_seam_puts_ours(transceiver: RTCRtpTransceiver) -> None:
    assert getattr(transceiver, sending.SENDER, None) is transceiver.sender, moved(
        f"RTCRtpTransceiver.{sending.SENDER}"
    )

    sender = sending.place_sender(transceiver, lambda agreed: None, ssrc=7)

    assert transceiver.sender is sender


@pytest.mark.parametrize("name", ["_ssrc", "_rtx_ssrc", "_stream_id"])
def test_a_sender_says_its_names_where_the_seam_reads_them(transceiver: RTCRtpTransceiver, name: str) -> None:
    assert hasattr(transceiver.sender, name), moved(f"RTCRtpSender.{name}")


def test_the_sender_in_the_place_of_aiortcs_has_its_stream_and_the_ssrc_of_all(transceiver: RTCRtpTransceiver) -> None:
    old = transceiver.sender

    sender = sending.place_sender(transceiver, lambda agreed: None, ssrc=7)

    assert (sender._ssrc, sender._stream_id) == (7, old._stream_id)
    assert sender.transport is old.transport


@pytest.mark.parametrize("name", [sending.STARTED, sending.EXITED, sending.RTCP_EXITED])
def test_a_sender_waits_for_the_events_that_the_seam_sets(transceiver: RTCRtpTransceiver, name: str) -> None:
    assert isinstance(getattr(transceiver.sender, name, None), asyncio.Event), moved(f"RTCRtpSender.{name}")
    own = name.removeprefix("_RTCRtpSender")
    assert f"self.{own}.wait()" in inspect.getsource(RTCRtpSender.stop), moved(f"the wait for {own} in stop()")


def test_a_sender_begins_to_report_with_the_loop_that_the_seam_replaces() -> None:
    assert takes(RTCRtpSender._run_rtcp) == ["self"], moved("RTCRtpSender._run_rtcp()")
    assert inspect.iscoroutinefunction(RTCRtpSender._run_rtcp)
    assert "self._run_rtcp()" in inspect.getsource(RTCRtpSender.send), moved("the call of _run_rtcp() in send()")
    own = sending.RTCP_STARTED.removeprefix("_RTCRtpSender")
    assert f"self.{own}.set()" in inspect.getsource(RTCRtpSender._run_rtcp), moved(own)


def test_a_report_has_the_figures_that_are_written_into_it() -> None:
    written = {"ntp_timestamp": 1, "rtp_timestamp": 2, "packet_count": 3, "octet_count": 4}
    info = RtcpSenderInfo(**written)
    parsed = RtcpPacket.parse(bytes(RtcpSrPacket(ssrc=7, sender_info=info)))[0].sender_info
    assert {name: getattr(parsed, name) for name in written} == written, moved("RtcpSenderInfo")


def test_a_receiver_is_told_the_ssrc_that_its_reports_bear(transceiver: RTCRtpTransceiver) -> None:
    assert takes(RTCRtpReceiver._set_rtcp_ssrc) == ["self", "ssrc"], moved("RTCRtpReceiver._set_rtcp_ssrc(ssrc)")


def test_a_sender_begins_with_the_loop_that_the_seam_replaces() -> None:
    assert takes(RTCRtpSender.send) == ["self", "parameters"]
    assert takes(RTCRtpSender._run_rtp) == ["self", "codec"], moved("RTCRtpSender._run_rtp(codec)")
    assert inspect.iscoroutinefunction(RTCRtpSender._run_rtp)
    assert "self._run_rtp(parameters.codecs[0])" in inspect.getsource(RTCRtpSender.send), moved("the call in send()")


def test_a_goodbye_leaves_by_the_method_that_the_seam_calls() -> None:
    assert takes(RTCRtpSender._send_rtcp) == ["self", "packets"], moved("RTCRtpSender._send_rtcp(packets)")
    assert inspect.iscoroutinefunction(RTCRtpSender._send_rtcp)


def test_a_sender_is_told_of_rtx_as_a_codec_that_names_another() -> None:
    rtx = [codec for codec in CODECS["video"] if is_rtx(codec)]

    assert rtx, "aiortc.codecs.CODECS has no rtx any more"
    by_type = {codec.payloadType for codec in CODECS["video"] if not is_rtx(codec)}
    assert {codec.parameters["apt"] for codec in rtx} == by_type, "the parameter apt has moved"


async def test_what_was_sent_goes_into_sender_reports(house: House) -> None:
    call = await house.watch("a")
    async with asyncio.timeout(15):
        while not any(report.sender_info.packet_count for report in call.watcher.reports):
            await asyncio.sleep(0.02)

    told = next(report.sender_info for report in call.watcher.reports if report.sender_info.packet_count)
    payloads = [len(packet.payload) for packet in call.watcher.media[: told.packet_count]]
    assert told.octet_count == sum(payloads)


async def test_the_source_is_described_by_the_name_that_the_answer_gives_it(house: House) -> None:
    call = await house.watch("a")
    out = house.session("a").egress._out
    assert out is not None

    (description,) = RtcpPacket.parse(out.sender._description)
    (chunk,) = description.chunks
    ((_, name),) = chunk.items

    assert f"a=ssrc:{chunk.ssrc} cname:{name.decode()}" in await call.answer


async def test_a_round_trip_is_known_from_the_report_on_our_last_report(transceiver: RTCRtpTransceiver) -> None:
    sender = _reporting(transceiver)
    assert sender.round_trip_s(0, 0.0, 100.0) is None

    told = _told(sender.report(PROGRESS))
    lsr, at = told.ntp_timestamp >> 16 & 0xFFFFFFFF, told.ntp_timestamp / 2**32 - 2_208_988_800

    assert sender.round_trip_s(lsr, 0.25, at + 0.5) == pytest.approx(0.25, abs=0.001)
    assert sender.round_trip_s(lsr, 0.25, at + 0.1) == 0.0
    assert sender.round_trip_s(lsr ^ 1, 0.25, at + 0.5) is None
    assert sender.round_trip_s(0, 0.25, at + 0.5) is None


def test_a_report_is_due_once_in_half_a_second_to_one_and_a_half(transceiver: RTCRtpTransceiver) -> None:
    sender = _reporting(transceiver)

    assert sender.report_at == 0
    sender.report(PROGRESS)
    assert 0.4 <= sender.report_at - time.monotonic() <= 1.5


def test_a_reports_times_are_of_the_moment_it_leaves_at(transceiver: RTCRtpTransceiver) -> None:
    progress = PROGRESS._replace(captured_at=time.monotonic() - 0.5)
    told = _told(_reporting(transceiver).report(progress))

    taken_at = told.ntp_timestamp / 2**32 - 2_208_988_800 - (told.rtp_timestamp - progress.timestamp) / 90_000
    assert time.time() - taken_at == pytest.approx(time.monotonic() - progress.captured_at, abs=0.01)
    assert (told.packet_count, told.octet_count) == (3, 3_000)


PROGRESS = sending.Progress(packets=3, octets=3_000, timestamp=1_000, captured_at=99.5)


def _reporting(transceiver: RTCRtpTransceiver) -> sending.Sender:
    sender = sending.place_sender(transceiver, lambda agreed: None, ssrc=7)
    sender._description = rtcp.description(7, "camera")
    return sender


def _told(report: bytes) -> RtcpSenderInfo:
    first, name = RtcpPacket.parse(report)
    assert name.chunks[0].items == [(1, b"camera")]
    return first.sender_info

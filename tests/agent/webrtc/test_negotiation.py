"""What is agreed on with a viewer, and the tables of aiortc that it comes from."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable

import pylibsrtp
import pytest
from aiortc import (
    RTCConfiguration,
    RTCPeerConnection,
    RTCRtpSender,
    RTCSessionDescription,
    rtcdtlstransport,
)
from aiortc.codecs import CODECS, HEADER_EXTENSIONS
from aiortc.rtcdtlstransport import (
    SRTP_AEAD_AES_128_GCM,
    SRTP_AEAD_AES_256_GCM,
    SRTP_AES128_CM_SHA1_80,
    SRTP_PROFILES,
)
from aiortc.rtcrtpparameters import RTCRtcpFeedback, RTCRtpHeaderExtensionParameters

from agent.media import rtp
from agent.webrtc.seams import dtls, sending
from tests.kit.caller import Signer
from tests.kit.foundations import moved
from tests.kit.house import House


@pytest.mark.parametrize("flags", ["fpu vme aes avx2", "fp asimd evtstrm aes pmull sha1"], ids=["x86", "arm"])
def test_with_aes_instructions_gcm_comes_first(flags: str) -> None:
    assert dtls.srtp_profiles(flags) == [SRTP_AEAD_AES_128_GCM, SRTP_AES128_CM_SHA1_80, SRTP_AEAD_AES_256_GCM]


@pytest.mark.parametrize("flags", ["", "fp asimd evtstrm crc32 cpuid", "vaes_not_really"], ids=["none", "pi 4", "like"])
def test_without_them_counter_mode_comes_first(flags: str) -> None:
    assert dtls.srtp_profiles(flags) == [SRTP_AES128_CM_SHA1_80, SRTP_AEAD_AES_128_GCM, SRTP_AEAD_AES_256_GCM]


def test_aiortc_knows_the_profiles_that_the_seam_orders_and_no_other() -> None:
    known = {profile.openssl_profile for profile in SRTP_PROFILES}

    assert known == set(sending._TAG_BYTES), "aiortc.rtcdtlstransport.SRTP_PROFILES has others now"


@pytest.mark.parametrize("profile", SRTP_PROFILES, ids=lambda profile: profile.openssl_profile.decode())
def test_a_tag_has_as_many_bytes_as_the_seam_says(profile: rtcdtlstransport.SRTPProtectionProfile) -> None:
    session = pylibsrtp.Session(
        pylibsrtp.Policy(
            key=bytes(profile.key_length + profile.salt_length),
            ssrc_type=pylibsrtp.Policy.SSRC_ANY_OUTBOUND,
            srtp_profile=profile.libsrtp_profile,
        )
    )

    assert len(session.protect(b"\x80" + bytes(40))) == 41 + sending._TAG_BYTES[profile.openssl_profile]


async def test_the_first_profile_of_ours_that_the_viewer_has_is_agreed_on(house: House) -> None:
    await house.watch("a")

    out = house.session("a").egress._out
    assert out is not None
    ssl = out.transport._ssl
    assert ssl is not None, moved("RTCDtlsTransport._ssl")
    assert ssl.get_selected_srtp_profile() == dtls._PROFILES[0].openssl_profile


def test_aiortcs_table_of_header_extensions_takes_ours() -> None:
    extensions = HEADER_EXTENSIONS["video"]

    assert all(isinstance(extension, RTCRtpHeaderExtensionParameters) for extension in extensions)
    assert {rtp.MID, rtp.ABS_SEND_TIME, rtp.TRANSPORT_CC, rtp.PLAYOUT_DELAY} == {entry.uri for entry in extensions}
    every = [entry.id for kind in HEADER_EXTENSIONS.values() for entry in kind if entry.uri != rtp.MID]
    assert len(every) == len(set(every)), "a header extension's number is another's as well"
    assert max(every) <= 14


def test_aiortcs_table_of_codecs_takes_transport_wide_feedback_once() -> None:
    sending._extend_what_aiortc_negotiates()

    h264 = [codec for codec in CODECS["video"] if codec.mimeType == "video/H264"]
    assert h264, "aiortc.codecs.CODECS has no H264 any more"
    for codec in h264:
        assert codec.rtcpFeedback.count(RTCRtcpFeedback(type="transport-cc")) == 1
    assert [entry.uri for entry in HEADER_EXTENSIONS["video"]].count(rtp.TRANSPORT_CC) == 1


async def _answered(house: House, change: Callable[[str], str] = str) -> str:
    call = await house.call("a", change=change)
    return await call.answer


async def test_an_answer_leaves_the_handshake_to_the_viewer(house: House) -> None:
    answer = await _answered(house)

    assert "a=setup:passive\r\n" in answer


@pytest.mark.parametrize(("offered", "answered"), [("active", "passive"), ("passive", "active")])
async def test_an_offer_that_leaves_no_choice_of_the_role_is_answered_as_it_asks(
    house: House, offered: str, answered: str
) -> None:
    answer = await _answered(house, lambda offer: offer.replace("a=setup:actpass", f"a=setup:{offered}"))

    assert f"a=setup:{answered}\r\n" in answer


async def test_an_answer_agrees_on_transport_wide_feedback_playout_delay_and_rtx(house: House) -> None:
    answer = await _answered(house)

    payload_type = re.search(r"^m=video \d+ UDP/TLS/RTP/SAVPF (\d+)", answer, re.MULTILINE)
    assert payload_type is not None
    number = payload_type[1]
    assert re.search(rf"^a=rtpmap:{number} H264/90000\r$", answer, re.MULTILINE)
    for uri in (rtp.TRANSPORT_CC, rtp.PLAYOUT_DELAY, rtp.MID):
        assert re.search(rf"^a=extmap:\d+ {re.escape(uri)}\r$", answer, re.MULTILINE), uri
    assert re.search(rf"^a=rtcp-fb:{number} transport-cc\s*$", answer, re.MULTILINE)
    assert re.search(rf"^a=rtcp-fb:{number} nack pli\r$", answer, re.MULTILINE)
    assert re.search(rf"^a=fmtp:\d+ apt={number}\r$", answer, re.MULTILINE)
    assert re.search(r"^a=ssrc-group:FID \d+ \d+\r$", answer, re.MULTILINE)


async def test_the_numbers_of_extensions_are_the_offers(house: House) -> None:
    answer = await _answered(
        house,
        lambda offer: re.sub(rf"a=extmap:\d+ {re.escape(rtp.TRANSPORT_CC)}", rf"a=extmap:9 {rtp.TRANSPORT_CC}", offer),
    )

    assert f"a=extmap:9 {rtp.TRANSPORT_CC}\r\n" in answer


async def test_extensions_whose_numbers_do_not_fit_are_left_out_and_pictures_come(
    house: House,
) -> None:
    call = await house.connect("a", change=lambda offer: re.sub(r"a=extmap:(\d) ", r"a=extmap:2\1 ", offer))

    await call.watcher.see(3)

    assert not any(packet.extensions.mid for packet in call.watcher.arrived)


async def test_what_was_not_offered_is_not_answered(house: House) -> None:
    def bare(offer: str) -> str:
        lines = [line for line in offer.splitlines() if "extmap" not in line and "transport-cc" not in line]
        return "\r\n".join(lines) + "\r\n"

    answer = await _answered(house, bare)

    assert "extmap" not in answer
    assert "transport-cc" not in answer


async def test_what_was_agreed_on_is_told_when_media_may_begin(device: Signer) -> None:
    agreed: asyncio.Future[sending.Negotiated] = asyncio.get_running_loop().create_future()
    viewer = RTCPeerConnection(RTCConfiguration(iceServers=[]))
    camera = dtls.peer_connection(device.key, device.chain[0])
    try:
        receiving = viewer.addTransceiver("video", direction="recvonly")
        wanted = [c for c in RTCRtpSender.getCapabilities("video").codecs if c.name.upper() in {"H264", "RTX"}]
        receiving.setCodecPreferences(wanted)
        await viewer.setLocalDescription(await viewer.createOffer())
        transceiver = camera.addTransceiver("video", direction="sendonly")
        transceiver.setCodecPreferences(wanted)
        sender = sending.place_sender(transceiver, agreed.set_result, ssrc=7)
        await camera.setRemoteDescription(viewer.localDescription)
        await camera.setLocalDescription(await camera.createAnswer())
        answer = camera.localDescription.sdp
        assert not agreed.done()
        await viewer.setRemoteDescription(RTCSessionDescription(sdp=answer, type="answer"))
        async with asyncio.timeout(10):
            told = await agreed
    finally:
        await asyncio.gather(viewer.close(), camera.close())

    assert f"a=rtpmap:{told.payload_type} H264/90000\r\n" in answer
    assert f"a=fmtp:{told.rtx_payload_type} apt={told.payload_type}\r\n" in answer
    assert f"a=ssrc-group:FID {told.ssrc} {told.rtx_ssrc}\r\n" in answer
    assert f"a=mid:{told.mid}\r\n" in answer
    assert all(f"a=extmap:{number} {uri}\r\n" in answer for uri, number in told.extension_ids.items())
    assert {rtp.TRANSPORT_CC, rtp.PLAYOUT_DELAY} <= set(told.extension_ids)
    assert told.tag_bytes == sending._TAG_BYTES[dtls._PROFILES[0].openssl_profile]
    assert told.ssrc == sender._ssrc

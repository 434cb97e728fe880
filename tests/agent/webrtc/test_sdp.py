"""An offer is read against a list, and written anew: what passes is answered, and all else is one typed refusal."""

from __future__ import annotations

import asyncio
import contextlib
import random
import re
import time
from pathlib import Path

import pytest
from aiortc import RTCConfiguration, RTCPeerConnection, RTCRtpSender, RTCSessionDescription
from aiortc.codecs import CODECS
from aiortc.rtcpeerconnection import is_codec_compatible
from aiortc.rtcrtpparameters import RTCRtpCodecParameters
from aiortc.sdp import SessionDescription
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agent.media import rtcp
from agent.webrtc.sdp import MAX_CANDIDATES, MAX_COMMAND_BYTES, CheckedOffer, check_offer, complete_answer
from agent.webrtc.sdp_lines import MAX_ATTRIBUTES, MAX_SECTIONS
from agent.webrtc.seams import dtls
from protocol.errors import Refused
from protocol.messages import MAX_SDP
from tests.kit.watcher import Watcher

OFFERS = {path.stem: path.read_bytes().decode() for path in Path(__file__).with_name("offers").glob("*.sdp")}
FINGERPRINT = ":".join(["AB"] * 32)
CANDIDATE = "a=candidate:1 1 udp 2113937151 192.168.1.7 50000 typ host\n"
OFFER = f"""v=0
o=- 1 2 IN IP4 127.0.0.1
s=-
t=0 0
a=group:BUNDLE 0
m=video 9 UDP/TLS/RTP/SAVPF 96 97
c=IN IP4 0.0.0.0
a=mid:0
a=ice-ufrag:abcd
a=ice-pwd:abcdefghijklmnopqrstuv
a=fingerprint:sha-256 {FINGERPRINT}
a=setup:actpass
a=recvonly
a=rtcp-mux
a=rtpmap:96 H264/90000
a=fmtp:96 packetization-mode=1;profile-level-id=42e01f
a=rtcp-fb:96 nack pli
a=rtpmap:97 rtx/90000
a=fmtp:97 apt=96
{CANDIDATE}a=end-of-candidates
"""
CHANNEL = """m=application 9 UDP/DTLS/SCTP webrtc-datachannel
c=IN IP4 0.0.0.0
a=mid:1
a=sctp-port:5000
"""
WITH_CHANNEL = OFFER.replace("BUNDLE 0", "BUNDLE 0 1") + CHANNEL
TLS_ID = "abcdefghijklmnopqrstuvwx"


async def answered(offer: CheckedOffer) -> str:
    """Have aiortc answer, as a session does but for the network; what it raises comes out."""
    peer = RTCPeerConnection(RTCConfiguration(iceServers=[], bundlePolicy=dtls.BUNDLE))
    try:
        transceiver = peer.addTransceiver("video", direction="sendonly")
        codecs = RTCRtpSender.getCapabilities("video").codecs
        transceiver.setCodecPreferences([c for c in codecs if c.mimeType in {"video/H264", "video/rtx"}])
        await peer.setRemoteDescription(RTCSessionDescription(sdp=offer.sdp, type="offer"))
        answer = (await peer.createAnswer()).sdp
        SessionDescription.parse(answer)
        return complete_answer(answer, offer, tls_id=TLS_ID, level_idc=40)
    finally:
        await peer.close()


def sections(sdp: str) -> list[str]:
    return re.split(r"^(?=m=)", sdp, flags=re.MULTILINE)[1:]


def refusal(sdp: str) -> str:
    with pytest.raises(Refused) as refused:
        check_offer(sdp)
    return refused.value.reason


def test_a_good_offer_gives_its_candidates_apart() -> None:
    offer = check_offer(OFFER)

    assert offer.mid == "0"
    assert offer.candidates == ("1 1 udp 2113937151 192.168.1.7 50000 typ host",)
    assert offer.ends_candidates
    assert not check_offer(OFFER.replace("a=end-of-candidates\n", "")).ends_candidates
    assert "candidate" not in offer.sdp


@pytest.mark.parametrize("name", OFFERS)
async def test_what_browsers_and_pion_offer_is_answered(name: str) -> None:
    offer = check_offer(OFFERS[name], control=True)

    answer = await answered(offer)

    offered = [section.split()[0] for section in sections(OFFERS[name])]
    assert [section.split()[0] for section in sections(answer)] == offered
    video = next(section for section in sections(answer) if section.startswith("m=video"))
    assert "a=sendonly\r\n" in video
    assert "H264/90000" in video
    for feedback in ("nack pli", "transport-cc", "goog-remb"):
        assert re.search(rf"^a=rtcp-fb:\d+ {feedback}\s*$", video, re.MULTILINE), feedback
    assert ("m=application 9 " in offer.sdp) == ("application" in OFFERS[name])


async def test_what_this_viewer_offers_is_answered() -> None:
    watcher = Watcher()
    try:
        answer = await answered(check_offer(await watcher.offer()))
    finally:
        await watcher.close()
    assert "H264/90000" in answer


async def test_a_section_that_is_not_served_is_refused_by_itself_and_the_video_is_answered() -> None:
    answer = await answered(check_offer(OFFERS["chromium-all"]))

    audio, video, data = sections(answer)
    assert audio.startswith("m=audio 0 UDP/TLS/RTP/SAVPF ")
    assert data.startswith("m=application 0 UDP/DTLS/SCTP webrtc-datachannel\r\n")
    assert not video.startswith("m=video 0")
    assert "a=group:BUNDLE 1\r\n" in answer


def test_candidates_of_a_bundle_count_also_when_they_stand_in_a_section_that_is_refused() -> None:
    assert check_offer(OFFERS["chromium-all"]).candidates


def test_a_data_channel_is_served_only_where_it_is_allowed() -> None:
    assert "m=application 9 " in check_offer(WITH_CHANNEL, control=True).sdp
    assert "m=application" not in check_offer(WITH_CHANNEL).sdp


def test_a_data_channel_outside_of_the_bundle_is_refused_by_itself() -> None:
    offer = check_offer(WITH_CHANNEL.replace("BUNDLE 0 1", "BUNDLE 0"), control=True)

    assert "m=application" not in offer.sdp
    assert offer.sections[1] is not None


async def test_an_answer_says_the_level_of_what_is_sent_and_the_profile_that_was_agreed() -> None:
    answer = await answered(check_offer(OFFERS["chromium-all"]))

    said = re.findall(r"profile-level-id=(\w+)", answer)
    assert said
    assert {level[4:] for level in said} == {"28"}  # 4.0, which `answered` gives
    assert {level[:4] for level in said} <= {"4200", "42e0"}


async def test_an_answer_says_how_long_a_command_may_be() -> None:
    answer = await answered(check_offer(WITH_CHANNEL, control=True))

    assert f"a=max-message-size:{MAX_COMMAND_BYTES}\r\n" in answer


async def test_an_offer_that_names_its_dtls_association_gets_an_answer_that_does() -> None:
    named = OFFER.replace("a=setup", f"a=tls-id:{'x' * 20}\na=setup")

    assert f"a=tls-id:{TLS_ID}\r\n" in await answered(check_offer(named))
    assert "tls-id" not in await answered(check_offer(OFFER))


async def test_a_viewer_that_asks_about_clocks_is_answered() -> None:
    asking = OFFER.replace("a=rtcp-mux", f"a=rtcp-mux\n{rtcp.CLOCK_ATTRIBUTE}")

    assert f"\r\n{rtcp.CLOCK_ATTRIBUTE}\r\n" in await answered(check_offer(asking))
    assert "rtcp-xr" not in await answered(check_offer(OFFER))


async def test_an_offer_without_a_bundle_is_answered_without_one() -> None:
    assert "BUNDLE" not in await answered(check_offer(OFFER.replace("a=group:BUNDLE 0\n", "")))


async def test_what_stands_above_all_sections_counts_for_each() -> None:
    def lift(sdp: str, name: str) -> str:
        line = next(line for line in sdp.splitlines() if line.startswith(f"a={name}"))
        return sdp.replace(f"{line}\n", "").replace("t=0 0\n", f"t=0 0\n{line}\n")

    lifted = OFFER
    for name in ("fingerprint", "setup", "ice-ufrag", "ice-pwd"):
        lifted = lift(lifted, name)

    assert check_offer(lifted).sdp == check_offer(OFFER).sdp


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("H264", "VP8"),
        ("a=rtpmap:96 H264/90000\n", ""),
        ("packetization-mode=1", "packetization-mode=0"),
        ("42e01f", "640c1f"),
        ("42e01f", "42e0ff"),
        ("SAVPF 96", "SAVPF 98"),
    ],
)
def test_an_offer_without_the_h264_that_is_sent_is_refused_as_a_matter_of_codec(old: str, new: str) -> None:
    assert refusal(OFFER.replace(old, new)) == "codec"


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("v=0\n", ""),
        ("UDP/TLS/RTP/SAVPF", "RTP/AVP"),
        ("UDP/TLS/RTP/SAVPF", "RTP/SAVPF"),
        ("UDP/TLS/RTP/SAVPF", "UDP/TLS/RTP/SAVP"),
        ("a=mid:0\n", "a=mid:0\nm=audio 9 RTP/AVP 0\n"),
        ("a=mid:0\n", "a=mid:0\na=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:c2VjcmV0\n"),
        ("s=-\n", "s=-\na=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:c2VjcmV0\n"),
        ("m=video", "m=audio"),
        ("m=video 9", "m=video 0"),
        ("a=mid:0\n", "a=mid:0\na=mid:1\n"),
        ("a=mid:0\n", ""),
        ("a=mid:0\n", "a=mid:\n"),
        ("sha-256", "sha-1"),
        (FINGERPRINT, FINGERPRINT[:-3]),
        (FINGERPRINT, FINGERPRINT[:-1] + "x"),
        ("a=setup:actpass\n", ""),
        ("actpass", "holdconn"),
        ("a=ice-pwd:abcdefghijklmnopqrstuv\n", ""),
        ("abcdefghijklmnopqrstuv", "short"),
        ("a=ice-ufrag:abcd", "a=ice-ufrag:ab\tcd"),
        ("a=rtcp-mux\n", ""),
        ("recvonly", "sendonly"),
        ("recvonly", "inactive"),
        ("H264/90000", "H264"),
        ("a=fmtp:96 ", "a=fmtp:ninety "),
        ("s=-\n", "s=\x00\n"),
        ("s=-\n", "nonsense\n"),
        ("s=-\n", "s=" + "x" * MAX_SDP + "\n"),
        ("a=end-of-candidates\n", "a=x\n" * MAX_ATTRIBUTES),
        ("a=end-of-candidates\n", CANDIDATE * MAX_CANDIDATES),
        ("a=end-of-candidates\n", CHANNEL.replace("a=mid:1\n", "") * MAX_SECTIONS),
        ("a=end-of-candidates\n", OFFER[OFFER.index("m=") :].replace("mid:0", "mid:1")),
        ("a=end-of-candidates\n", CHANNEL.replace("mid:1", "mid:0")),
    ],
)
def test_an_offer_of_another_form_is_refused(old: str, new: str) -> None:
    assert old in OFFER
    assert refusal(OFFER.replace(old, new)) == "failed"


def test_hashes_that_are_too_weak_are_not_compared_where_a_good_one_stands_beside_them() -> None:
    offer = check_offer(OFFER.replace("a=setup", f"a=fingerprint:sha-1 {':'.join(['AB'] * 20)}\na=setup"))

    assert "sha-1" not in offer.sdp


def test_no_byte_of_a_line_that_is_not_known_reaches_aiortc() -> None:
    offer = check_offer(OFFER.replace("a=recvonly\n", "a=recvonly\na=ssrc:1 cname:evil\na=x-evil\ni=evil\n"))

    assert offer.sdp == check_offer(OFFER).sdp


def test_each_h264_that_the_check_lets_through_is_one_that_aiortc_agrees_on() -> None:
    ours = [codec for codec in CODECS["video"] if codec.mimeType == "video/H264"]
    for level in range(256):
        for constraints in range(256):
            profile = f"42{constraints:02x}{level:02x}"
            try:
                check_offer(OFFER.replace("42e01f", profile))
            except Refused:
                continue
            parameters = {"packetization-mode": "1", "profile-level-id": profile}
            theirs = RTCRtpCodecParameters(mimeType="video/H264", clockRate=90000, parameters=parameters)
            assert any(is_codec_compatible(codec, theirs) for codec in ours), profile


@given(st.text(alphabet=st.sampled_from("a=m:video 09\n-UDPTLSRVFXcndite\r"), max_size=400))
def test_whatever_is_offered_only_a_refusal_comes_of_it(text: str) -> None:
    with pytest.raises(Refused):
        check_offer(text)


def mutant(sdp: str, dice: random.Random) -> str:
    """Change some lines of an offer: repeat, drop, swap, cut, and change characters and numbers."""
    lines = sdp.splitlines()
    for _ in range(dice.randint(1, 6)):
        at, other = dice.randrange(len(lines)), dice.randrange(len(lines))
        line = lines[at]
        match dice.randrange(8):
            case 0:
                del lines[at]
            case 1:
                lines.insert(other, line)
            case 2:
                lines[at], lines[other] = lines[other], line
            case 3:
                lines[at] = line[: dice.randint(0, len(line))]
            case 4 if line:
                place = dice.randrange(len(line))
                lines[at] = (
                    line[:place]
                    + chr(dice.choice((dice.randrange(32, 127), dice.randrange(0x2FF))))
                    + line[place + 1 :]
                )
            case 5:
                lines[at] = re.sub(
                    r"\d+", lambda _: str(dice.choice((0, 1, 72, 96, 255, 256, -1, 2**40))), line, count=1
                )
            case 6:
                lines[at] = line + dice.choice(
                    (" ", ":", ";", "=", "/", " 1", ";=;", "\x0b", "\u2028m=audio 9 RTP/AVP 0")
                )
            case 7:
                lines[at] = line.partition(dice.choice(":; ="))[0]
    return "\r\n".join(lines[:400]) + "\r\n"


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(name=st.sampled_from([*OFFERS, "ours", "ours with a channel"]), seed=st.integers(0, 2**32))
def test_a_mutant_of_a_real_offer_is_refused_or_answered(name: str, seed: int) -> None:
    dice = random.Random(seed)  # noqa: S311  # it changes letters, and guards nothing
    sdp = mutant({"ours": OFFER, "ours with a channel": WITH_CHANNEL, **OFFERS}[name], dice)
    try:
        offer = check_offer(sdp, control=True)
    except Refused:
        return
    answer = asyncio.run(answered(offer))
    assert len(sections(answer)) == len(offer.sections)


def test_the_longest_offers_cost_little() -> None:
    """The caps hold the work down: a few milliseconds, on any machine far below a tenth of a second."""
    fmtp = "a=fmtp:96 " + ";" * 200 + "\n"
    group = "a=group:BUNDLE " + "0 " * 10_000 + "\n"
    for swollen in (
        OFFER.replace("a=end-of-candidates\n", fmtp * 140),
        OFFER.replace("s=-\n", f"s=-\n{group}"),
        OFFER.replace("a=end-of-candidates\n", "a=rtcp-fb:* nack\n" * 950),
        OFFER.replace("a=end-of-candidates\n", f"a=fingerprint:sha-256 {FINGERPRINT}\n" * 240),
        OFFER + "m=audio 9 UDP/TLS/RTP/SAVPF" + " 1" * 250 + "\n",
    ):
        assert len(swollen) <= MAX_SDP
        began = time.process_time()
        with contextlib.suppress(Refused):
            check_offer(swollen)
        assert time.process_time() - began < 0.1

"""An offer is checked, line by line and cheaply, before anything parses it in earnest."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.webrtc.sdp import MAX_CANDIDATES, MAX_FEEDBACK, MAX_FORMATS, check_offer
from protocol.errors import Refused

OFFER = """v=0
o=- 1 2 IN IP4 127.0.0.1
s=-
t=0 0
a=group:BUNDLE 0
m=video 9 UDP/TLS/RTP/SAVPF 96
c=IN IP4 0.0.0.0
a=mid:0
a=rtpmap:96 H264/90000
a=fingerprint:sha-256 AA:BB
a=candidate:1 1 udp 2113937151 192.168.1.7 50000 typ host
a=end-of-candidates
"""


def test_a_good_offer_gives_its_candidates_apart() -> None:
    offer = check_offer(OFFER)

    assert offer.mid == "0"
    assert offer.candidates == ("1 1 udp 2113937151 192.168.1.7 50000 typ host",)
    assert "candidate" not in offer.sdp


def test_an_offer_without_h264_is_refused_as_a_matter_of_codec() -> None:
    with pytest.raises(Refused) as refusal:
        check_offer(OFFER.replace("H264", "VP8"))
    assert refusal.value.reason == "codec"


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("UDP/TLS/RTP/SAVPF", "RTP/AVP"),
        ("UDP/TLS/RTP/SAVPF", "RTP/SAVPF"),
        ("m=video", "m=audio"),
        ("m=video 9 UDP/TLS/RTP/SAVPF 96\n", ""),
        ("a=mid:0\n", "a=mid:0\na=mid:1\n"),
        ("a=mid:0\n", "m=video 9 UDP/TLS/RTP/SAVPF 97\n"),
        ("sha-256", "sha-1"),
        ("s=-\n", "s=" + "x" * 2000 + "\n"),
        ("s=-\n", "s=-\n" * 2000),
        ("a=end-of-candidates\n", "a=rtpmap:97 rtx/90000\n" * MAX_FORMATS),
        ("a=end-of-candidates\n", "a=rtcp-fb:* nack\n" * (MAX_FEEDBACK + 1)),
        ("a=end-of-candidates\n", "a=candidate:1 1 udp 1 192.168.1.7 50000 typ host\n" * MAX_CANDIDATES),
    ],
)
def test_an_offer_of_another_form_is_refused(old: str, new: str) -> None:
    with pytest.raises(Refused) as refusal:
        check_offer(OFFER.replace(old, new))
    assert refusal.value.reason == "failed"


@given(st.text(alphabet=st.sampled_from("a=m:video 09\n-UDPTLSRVFXcndite\r"), max_size=400))
def test_whatever_is_offered_only_a_refusal_comes_of_it(text: str) -> None:
    with pytest.raises(Refused):
        check_offer(text)

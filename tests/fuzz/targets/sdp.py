"""An offer: our check, then aiortc's parser for what passed it, which may raise nothing."""

from __future__ import annotations

from aiortc.sdp import SessionDescription

from agent.webrtc.sdp import check_offer
from protocol.errors import Refused
from tests.fuzz.target import Target


def _take(case: bytes) -> None:
    offer = check_offer(case.decode("utf-8", "replace"), control=True)
    SessionDescription.parse(offer.sdp)  # what was written anew has to be what it takes


TARGET = Target(
    take=_take,
    refusals=(Refused,),
    most_bytes=8192,  # a browser's offer has 6,400; the longest that may come, 32 KiB, are among the kept cases
    tokens=(
        *(b"a=%b:" % name for name in (b"rtpmap", b"fmtp", b"rtcp-fb", b"mid", b"setup", b"fingerprint", b"extmap")),
        *(
            b"a=%b:" % name
            for name in (b"ssrc", b"ssrc-group", b"candidate", b"ice-ufrag", b"ice-pwd", b"rtcp", b"group")
        ),
        *(b"\r\n", b"m=video 9 UDP/TLS/RTP/SAVPF ", b"m=audio", b"H264/90000", b"rtx/90000", b"sha-256 ", b"apt="),
        *(b"actpass", b"active", b"c=IN IP4 ", b"a=rtcp-mux", b"a=recvonly", b"profile-level-id=", b"* nack pli"),
    ),
)

"""What an offer may look like before aiortc sees it (pure): caps, one video section, and nothing but DTLS-SRTP."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from protocol.errors import Refused

MAX_LINES: Final = 1200
MAX_LINE: Final = 1024
MAX_CANDIDATES: Final = 30
MAX_FORMATS: Final = 64  # Chromium offers 34, with 77 lines of feedback; aiortc takes each line for every format
MAX_FEEDBACK: Final = 128


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckedOffer:
    """An offer that may be given to aiortc, and the candidates that stood in it."""

    sdp: str  # without its candidates: those are probed only after `addresses.may_probe`
    candidates: tuple[str, ...]  # candidate-attribute values, RFC 8839 section 5.1
    mid: str
    may_answer_passively: bool


def check_offer(sdp: str) -> CheckedOffer:
    """Check a viewer's offer. Errors: Refused, with the reason `codec` or `failed`."""
    lines = sdp.splitlines()
    if len(lines) > MAX_LINES or any(len(line) > MAX_LINE for line in lines):
        raise Refused("failed", "the offer is too long")
    sections = [line for line in lines if line.startswith("m=")]
    if len(sections) != 1 or not sections[0].startswith("m=video "):
        raise Refused("failed", "an offer has one video section")
    if sections[0].split()[2:3] != ["UDP/TLS/RTP/SAVPF"]:
        raise Refused("failed", "the video is not offered over DTLS-SRTP")
    attributes = [line[2:] for line in lines if line.startswith("a=")]
    for name, most in (("rtpmap:", MAX_FORMATS), ("rtcp-fb:", MAX_FEEDBACK)):
        if sum(attribute.startswith(name) for attribute in attributes) > most:
            raise Refused("failed", f"an offer has at most {most} lines of a={name[:-1]}")
    if not any(_is_h264(attribute) for attribute in attributes):
        raise Refused("codec", "the offer has no H.264")
    if not any(attribute.lower().startswith("fingerprint:sha-256 ") for attribute in attributes):
        raise Refused("failed", "the offer has no SHA-256 fingerprint")
    mids = [attribute[4:] for attribute in attributes if attribute.startswith("mid:")]
    if len(mids) != 1:
        raise Refused("failed", "the video section has one mid")
    candidates = tuple(attribute[10:] for attribute in attributes if attribute.startswith("candidate:"))
    if len(candidates) > MAX_CANDIDATES:
        raise Refused("failed", f"an offer has at most {MAX_CANDIDATES} candidates")
    kept = [line for line in lines if not line.startswith(("a=candidate:", "a=end-of-candidates"))]
    return CheckedOffer(
        sdp="\r\n".join(kept) + "\r\n",
        candidates=candidates,
        mid=mids[0],
        may_answer_passively="setup:actpass" in attributes,
    )


def _is_h264(attribute: str) -> bool:
    return attribute.startswith("rtpmap:") and attribute.partition(" ")[2].upper() == "H264/90000"

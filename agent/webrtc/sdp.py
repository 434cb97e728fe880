"""What an offer may look like, and what of it aiortc sees (pure).

Nothing of a stranger's text is passed on: an offer is read against a short list of lines, each with its form, and
written anew from what was read. Lines that are not on the list are passed over (RFC 8866, section 5.13); one that is
and has another form refuses the offer. So aiortc's parser only ever meets text of ours.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from agent.media import rtcp, rtp
from agent.webrtc.sdp_lines import PROTOCOL_OF, RTP, SCTP, Section, read
from protocol.errors import Refused

MAX_CANDIDATES: Final = 30
MAX_COMMAND_BYTES: Final = 4096  # a message on the data channel (RFC 8841, section 6)

_EXTENSIONS: Final = frozenset({rtp.MID, rtp.ABS_SEND_TIME, rtp.TRANSPORT_CC, rtp.PLAYOUT_DELAY})
_FEEDBACK: Final = frozenset({"nack", "nack pli", "ccm fir", "goog-remb", "transport-cc"})
_HASH_BYTES: Final = {"sha-256": 32, "sha-384": 48, "sha-512": 64}
_MID: Final = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`{|}~-]{1,32}")  # a token (RFC 5888, section 4)
_UFRAG: Final = re.compile(r"[A-Za-z0-9+/=-]{4,256}")  # RFC 8839, section 5.4; '=' and '-' as some have written them
_PASSWORD: Final = re.compile(r"[A-Za-z0-9+/=-]{22,256}")
_SETUP: Final = re.compile(r"actpass|active|passive")  # RFC 8842, section 5.2
_FINGERPRINT: Final = re.compile(r"([A-Za-z0-9-]{3,16}) ([0-9A-Fa-f]{2}(:[0-9A-Fa-f]{2}){0,127})")
_TLS_ID: Final = re.compile(r"[A-Za-z0-9+/_-]{20,255}")  # RFC 8842, section 4
_NUMBER: Final = re.compile(r"[0-9]{1,10}")
_RTPMAP: Final = re.compile(r"([0-9]{1,3}) ([A-Za-z0-9.+-]{1,32})/([0-9]{1,9})(/[0-9]{1,3})?")
_FMTP: Final = re.compile(r"([0-9]{1,3}) ([!-~][ -~]*)")
_RTCP_FB: Final = re.compile(r"(\*|[0-9]{1,3}) ([!-~][ -~]*)")
_EXTMAP: Final = re.compile(r"([0-9]{1,5})(?:/[a-z]+)? ([!-~]+)( [ -~]*)?")
# Baseline, constrained or not, of any level (RFC 6184, section 8.1): what every browser decodes and aiortc agrees on.
_BASELINE: Final = re.compile(r"42[0-9a-f]0(0[a-d]|1[456ef]|20|2[89a]|3[234])", re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckedOffer:
    """An offer that aiortc can answer, and what it says beside that."""

    sdp: str  # written anew, without candidates: those are probed only after `addresses.may_probe`
    candidates: tuple[str, ...]  # candidate-attribute values, RFC 8839 section 5.1
    ends_candidates: bool  # none will follow (RFC 8840, section 4.1.3)
    mid: str  # of the video
    may_answer_passively: bool
    sections: tuple[str | None, ...]  # as offered: None is answered by aiortc, a text is the refusal of that section
    is_bundled: bool
    has_tls_id: bool
    has_clock: bool


@dataclass(frozen=True, slots=True)
class _Transport:
    """What DTLS and ICE need to know; one for all sections of a bundle."""

    ufrag: str
    password: str
    setup: str
    fingerprints: tuple[str, ...]
    has_tls_id: bool

    def lines(self) -> list[str]:
        return [
            f"a=ice-ufrag:{self.ufrag}",
            f"a=ice-pwd:{self.password}",
            *(f"a=fingerprint:{fingerprint}" for fingerprint in self.fingerprints),
            f"a=setup:{self.setup}",
        ]


def check_offer(sdp: str, *, control: bool = False) -> CheckedOffer:
    """Check a viewer's offer; `control` says whether it may have a data channel.

    One video section is served, and with it one data channel in the same bundle. Other sections are refused each by
    itself, with port 0 in the answer. Errors: Refused, with the reason `codec` or `failed`.
    """
    session, sections = read(sdp)
    videos = [section for section in sections if section.kind == "video" and section.is_live]
    if len(videos) != 1:
        raise Refused("failed", "an offer has one video section")
    video = videos[0]
    mids = [section.value("mid", _MID) for section in sections]
    mid = mids[sections.index(video)]
    named = [name for name in mids if name is not None]
    if mid is None or len(named) != len(set(named)):
        raise Refused("failed", "each section has a mid of its own")
    bundle = next((line.split()[1:] for line in session.attributes.get("group", ()) if line.startswith("BUNDLE ")), [])
    tagged = sections[mids.index(bundle[0])] if mid in bundle and bundle[0] in mids else video
    transport = _transport(video, tagged, session)
    served = [video]
    if control:
        channels = [
            section
            for name, section in zip(mids, sections, strict=True)
            if section.kind == "application" and section.is_live and mid in bundle and name in bundle
        ]
        served += channels[:1]
    written = [
        _video(section, mid, transport) if section is video else _channel(section, name or "", transport)
        for name, section in zip(mids, sections, strict=True)
        if section in served
    ]
    answered = [mid, *(mids[sections.index(section)] or "" for section in served[1:])]
    # A bundle has one transport, whose candidates may stand in a section that is refused.
    alike = [section for name, section in zip(mids, sections, strict=True) if section in served or name in bundle]
    candidates = tuple(value for section in alike for value in section.attributes.get("candidate", ()))
    if len(candidates) > MAX_CANDIDATES:
        raise Refused("failed", f"an offer has at most {MAX_CANDIDATES} candidates")
    lite = ["a=ice-lite"] if "ice-lite" in session.attributes else []
    head = ["v=0", "o=- 0 0 IN IP4 0.0.0.0", "s=-", "t=0 0", *lite, f"a=group:BUNDLE {' '.join(answered)}"]
    return CheckedOffer(
        sdp="".join(f"{line}\r\n" for lines in (head, *written) for line in lines),
        candidates=candidates,
        ends_candidates=any("end-of-candidates" in section.attributes for section in (session, *alike)),
        mid=mid,
        may_answer_passively=transport.setup == "actpass",
        sections=tuple(
            None if section in served else _refusal(section, name) for section, name in zip(sections, mids, strict=True)
        ),
        is_bundled=mid in bundle,
        has_tls_id=transport.has_tls_id,
        has_clock="a=rtcp-xr:" + ",".join(video.attributes.get("rtcp-xr", ())) == rtcp.CLOCK_ATTRIBUTE,
    )


def complete_answer(sdp: str, offer: CheckedOffer, *, tls_id: str, level_idc: int) -> str:
    """Add to aiortc's answer what it does not know of: the sections that are refused, our clock, level and `tls_id`.

    An offer that names its DTLS association gets an answer that names it too (RFC 8842, section 5.3). Who only sends
    says with profile-level-id what is sent (RFC 6184, section 8.2.2).
    """
    head, *answered = re.split(r"^(?=m=)", sdp, flags=re.MULTILINE)
    if not offer.is_bundled:
        head = re.sub(r"^a=group:BUNDLE [^\r\n]*\r\n", "", head, flags=re.MULTILINE)
    sections = iter(answered)
    whole = [head]
    for refusal in offer.sections:
        if refusal is not None:
            whole.append(refusal)
            continue
        section = next(sections)
        if offer.has_clock:
            section = section.replace("a=rtcp-mux\r\n", f"a=rtcp-mux\r\n{rtcp.CLOCK_ATTRIBUTE}\r\n")
        section = re.sub(
            r"^a=max-message-size:\d+", f"a=max-message-size:{MAX_COMMAND_BYTES}", section, flags=re.MULTILINE
        )
        section = re.sub(r"(?<=profile-level-id=42[0-9a-f]{2})[0-9a-f]{2}", f"{level_idc:02x}", section)
        whole.append(section + (f"a=tls-id:{tls_id}\r\n" if offer.has_tls_id else ""))
    return "".join(whole)


def _transport(video: Section, tagged: Section, session: Section) -> _Transport:
    """Read what the video's section says, or the bundle's first one (RFC 8843, section 7.1.3), or the session."""
    levels = (video, tagged, session)

    def first(name: str, form: re.Pattern[str]) -> str | None:
        return next((value for level in levels if (value := level.value(name, form)) is not None), None)

    ufrag, password, setup = first("ice-ufrag", _UFRAG), first("ice-pwd", _PASSWORD), first("setup", _SETUP)
    if ufrag is None or password is None or setup is None:
        raise Refused("failed", "an offer has ice-ufrag, ice-pwd and setup")
    found = next((values for level in levels if (values := level.values("fingerprint", _FINGERPRINT))), [])
    fingerprints: dict[str, None] = {}
    for match in found:
        size = _HASH_BYTES.get(match[1].lower())
        if size is not None:
            if len(match[2]) != 3 * size - 1:
                raise Refused("failed", "a fingerprint has the length of its hash")
            fingerprints[f"{match[1].lower()} {match[2].upper()}"] = None
    if not any(fingerprint.startswith("sha-256 ") for fingerprint in fingerprints):
        raise Refused("failed", "the offer has no SHA-256 fingerprint")
    return _Transport(ufrag, password, setup, tuple(fingerprints), first("tls-id", _TLS_ID) is not None)


def _video(section: Section, mid: str, transport: _Transport) -> list[str]:
    if "rtcp-mux" not in section.attributes:
        raise Refused("failed", "the video's RTCP has no port of its own")
    if {"sendonly", "inactive"} & set(section.attributes):
        raise Refused("failed", "the viewer does not want to receive")
    formats, codecs = _codecs(section)
    numbers: dict[str, int] = {}
    for match in section.values("extmap", _EXTMAP):
        if match[2] in _EXTENSIONS and 1 <= int(match[1]) <= 255 and int(match[1]) not in numbers.values():
            numbers.setdefault(match[2], int(match[1]))
    return [
        f"m=video 9 {RTP} {' '.join(formats)}",
        "c=IN IP4 0.0.0.0",
        f"a=mid:{mid}",
        "a=recvonly",
        "a=rtcp-mux",
        *(f"a=extmap:{number} {uri}" for uri, number in numbers.items()),
        *codecs,
        *transport.lines(),
    ]


def _codecs(section: Section) -> tuple[list[str], list[str]]:
    """Give the formats that are served, H.264 and its retransmission (RFC 4588), and their lines."""
    names = {match[1]: (match[2].upper(), match[3]) for match in section.values("rtpmap", _RTPMAP)}
    parameters = {match[1]: _parameters(match[2]) for match in section.values("fmtp", _FMTP)}
    dynamic = [entry for entry in dict.fromkeys(section.formats) if entry.isdigit() and 96 <= int(entry) <= 127]
    h264 = [
        entry
        for entry in dynamic
        if names.get(entry) == ("H264", "90000")
        and (said := parameters.get(entry, {})).get("packetization-mode") == "1"
        and _BASELINE.fullmatch(said.get("profile-level-id", "42e01f"))
    ]
    if not h264:
        raise Refused("codec", "the offer has no H.264 of the baseline profile with packetization-mode 1")
    rtx = [
        entry
        for entry in dynamic
        if names.get(entry) == ("RTX", "90000") and parameters.get(entry, {}).get("apt") in h264
    ]
    lines, said_of = [], section.values("rtcp-fb", _RTCP_FB)
    for entry in h264:
        profile = parameters[entry].get("profile-level-id", "42e01f")
        feedback = [match[2].strip() for match in said_of if match[1] in {"*", entry}]
        lines += [
            f"a=rtpmap:{entry} H264/90000",
            f"a=fmtp:{entry} packetization-mode=1;profile-level-id={profile}",
            *(f"a=rtcp-fb:{entry} {said}" for said in dict.fromkeys(feedback) if said in _FEEDBACK),
        ]
    for entry in rtx:
        lines += [f"a=rtpmap:{entry} rtx/90000", f"a=fmtp:{entry} apt={parameters[entry]['apt']}"]
    return [*h264, *rtx], lines


def _parameters(text: str) -> dict[str, str]:
    pairs = (entry.strip().partition("=") for entry in text.split(";"))
    return {name.lower(): value for name, _, value in pairs}


def _channel(section: Section, mid: str, transport: _Transport) -> list[str]:
    port = int(section.value("sctp-port", _NUMBER) or 0)
    size = int(section.value("max-message-size", _NUMBER) or 65536)  # RFC 8841, section 6.1
    if section.formats != ("webrtc-datachannel",) or not 1 <= port <= 65535:
        raise Refused("failed", "a data channel names its SCTP port")
    return [
        f"m=application 9 {SCTP} webrtc-datachannel",
        "c=IN IP4 0.0.0.0",
        f"a=mid:{mid}",
        f"a=sctp-port:{port}",
        f"a=max-message-size:{size}",
        *transport.lines(),
    ]


def _refusal(section: Section, mid: str | None) -> str:
    """Refuse one section and leave the others be (RFC 3264, section 6)."""
    lines = [f"m={section.kind} 0 {PROTOCOL_OF[section.kind]} {section.formats[0]}", "c=IN IP4 0.0.0.0"]
    lines += ["a=inactive"] if section.kind != "application" else []
    lines += [f"a=mid:{mid}"] if mid is not None else []
    return "".join(f"{line}\r\n" for line in lines)

"""An offer taken apart into its sections and their attributes, within the caps (pure)."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Final

from protocol.errors import Refused
from protocol.messages import MAX_SDP

MAX_SECTIONS: Final = 4
MAX_ATTRIBUTES: Final = 1000  # of one section
RTP: Final = "UDP/TLS/RTP/SAVPF"
SCTP: Final = "UDP/DTLS/SCTP"
PROTOCOL_OF: Final = {"video": RTP, "audio": RTP, "application": SCTP}
_LINE: Final = re.compile(r"[a-z]=[^\x00-\x08\x0a-\x1f\x7f]*")
_SECTION: Final = re.compile(r"([a-z]{1,16}) ([0-9]{1,5}) ([A-Za-z/]{1,32}) ([A-Za-z0-9-]{1,32}( [0-9]{1,3}){0,63})")


@dataclass(slots=True, eq=False)
class Section:
    """What an m= line opened, or the session above all of them: its attributes by name, in their order."""

    kind: str = ""
    port: int = 0
    formats: tuple[str, ...] = ()
    attributes: dict[str, list[str]] = field(default_factory=dict)
    lines: int = 0

    @property
    def is_live(self) -> bool:
        """Whether it is offered at all."""
        return self.port != 0 or "bundle-only" in self.attributes  # RFC 8843, section 7.2.1

    def values(self, name: str, form: re.Pattern[str]) -> list[re.Match[str]]:
        """Give an attribute's values, all of them of this form. Errors: Refused."""
        found = [form.fullmatch(value) for value in self.attributes.get(name, ())]
        matches = [match for match in found if match is not None]
        if len(matches) != len(found):
            raise Refused("failed", f"an {name} line is not of its form")
        return matches

    def value(self, name: str, form: re.Pattern[str]) -> str | None:
        """Give an attribute that stands once at most. Errors: Refused."""
        found = self.values(name, form)
        if len(found) > 1:
            raise Refused("failed", f"a section has one {name} line")
        return found[0][0] if found else None


def read(sdp: str) -> tuple[Section, list[Section]]:
    """Give the session and its sections. Errors: Refused."""
    if len(sdp) > MAX_SDP:
        raise Refused("failed", f"an offer has at most {MAX_SDP} characters")
    first, *lines = [line.removesuffix("\r") for line in sdp.removesuffix("\n").split("\n")]
    if first != "v=0":
        raise Refused("failed", "an offer begins with v=0")
    sections = [Section()]
    for line in lines:
        if not _LINE.fullmatch(line):
            raise Refused("failed", "an offer is made of lines of SDP")
        if line.startswith("m="):
            sections.append(_opened(line[2:]))
            if len(sections) > 1 + MAX_SECTIONS:
                raise Refused("failed", f"an offer has at most {MAX_SECTIONS} sections")
        elif line.startswith("a="):
            _note(sections[-1], line[2:])
    return sections[0], sections[1:]


def _opened(line: str) -> Section:
    match = _SECTION.fullmatch(line)
    if match is None or PROTOCOL_OF.get(match[1]) != match[3]:
        raise Refused("failed", "what is not encrypted by DTLS is not served")
    return Section(kind=match[1], port=int(match[2]), formats=tuple(match[4].split()))


def _note(section: Section, attribute: str) -> None:
    name, _, value = attribute.partition(":")
    if name in {"crypto", "key-mgmt"}:
        raise Refused("failed", "keys in SDP are not served")  # RFC 8827, section 6.5
    section.lines += 1
    if section.lines > MAX_ATTRIBUTES:
        raise Refused("failed", f"a section has at most {MAX_ATTRIBUTES} attributes")
    section.attributes.setdefault(name, []).append(value)

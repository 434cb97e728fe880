"""RTP packets without what differs between viewers (RFC 3550, section 5.1; header extensions RFC 8285, section 4.2)."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Final

from agent.media.packetize import Packetized

VERSION: Final = 0x80
EXTENSION: Final = 0x10
MARKER: Final = 0x80
HEADER: Final = 12
ONE_BYTE: Final = 0xBEDE  # the profile of one-byte header extensions

TRANSPORT_CC: Final = "http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01"
ABS_SEND_TIME: Final = "http://www.webrtc.org/experiments/rtp-hdrext/abs-send-time"
PLAYOUT_DELAY: Final = "http://www.webrtc.org/experiments/rtp-hdrext/playout-delay"
MID: Final = "urn:ietf:params:rtp-hdrext:sdes:mid"

_IDS: Final = range(1, 15)  # that a one-byte header can say (RFC 8285, section 4.2)
_MIDS: Final = range(1, 9)  # bytes; a longer one would make every packet larger, and the SSRCs in the SDP say the same
_MOST_PLAYOUT_DELAY_MS: Final = 40_950  # twelve bits of 10 ms


@dataclass(frozen=True, slots=True)
class Layout:
    """How the packets for a viewer are laid out: what its offer negotiated, and the bytes that SRTP appends.

    `extensions` is the whole block. A transport-wide sequence number, where there is one, is its first element.
    """

    payload_type: int
    tag_bytes: int
    extensions: bytes
    has_transport_cc: bool
    send_time_at: int | None  # where in a packet abs-send-time stands

    @property
    def overhead_bytes(self) -> int:
        """Count what a packet has beyond its payload, which sender reports leave out (RFC 3550, section 6.4.1)."""
        return HEADER + len(self.extensions) + self.tag_bytes

    @classmethod
    def of(cls, payload_type: int, ids: dict[str, int], *, mid: str, playout_delay_ms: int, tag_bytes: int) -> Layout:
        """Lay out packets for the negotiated extensions: `ids` are theirs, by URI. One beyond 1 to 14 is left out."""
        ids = {uri: number for uri, number in ids.items() if number in _IDS}
        elements: list[bytes] = []
        send_time_at = None
        if TRANSPORT_CC in ids:
            elements.append(_element(ids[TRANSPORT_CC], bytes(2)))
        elif ABS_SEND_TIME in ids:  # for the receiver's own estimate, when it does not report arrival times
            elements.append(_element(ids[ABS_SEND_TIME], bytes(3)))
            send_time_at = HEADER + 4 + 1
        if PLAYOUT_DELAY in ids:
            steps = min(playout_delay_ms, _MOST_PLAYOUT_DELAY_MS) // 10
            elements.append(_element(ids[PLAYOUT_DELAY], (steps << 12 | steps).to_bytes(3, "big")))
        if MID in ids and len(mid.encode()) in _MIDS:
            elements.append(_element(ids[MID], mid.encode()))
        block = b"".join(elements)
        words = -(-len(block) // 4)
        extensions = struct.pack(">HH", ONE_BYTE, words) + block.ljust(4 * words, b"\0") if block else b""
        return cls(payload_type, tag_bytes, extensions, TRANSPORT_CC in ids, send_time_at)


@dataclass(frozen=True, slots=True)
class Image:
    """A burst in one piece: `count` packets, each `stride` bytes after the one before, room for the tag included.

    Sequence numbers, timestamp and SSRC are zero. All packets have `size` bytes before SRTP, the last has `last_size`.
    """

    data: bytes
    count: int
    stride: int
    size: int
    last_size: int


def images(packetized: Packetized, layout: Layout) -> tuple[Image, ...]:
    """Give the packets of an access unit in this layout; they are made once, for all viewers that share it."""
    made = packetized.images.get(layout)
    if made is None:
        made = packetized.images[layout] = tuple(_images(packetized, layout))
    return made


def _images(packetized: Packetized, layout: Layout) -> list[Image]:
    extensions = layout.extensions
    if layout.send_time_at is not None:  # seconds, 6.18 bits, of any clock that keeps its pace
        stamp = (int(packetized.published_at * (1 << 18)) & 0xFFFFFF).to_bytes(3, "big")
        at = layout.send_time_at - HEADER
        extensions = extensions[:at] + stamp + extensions[at + 3 :]
    first = VERSION | (EXTENSION if extensions else 0)
    zeros = bytes(HEADER - 2)
    before = bytes((first, layout.payload_type)) + zeros + extensions
    at_last = bytes((first, MARKER | layout.payload_type)) + zeros + extensions
    tag = bytes(layout.tag_bytes)
    made = []
    for number, burst in enumerate(packetized.bursts, 1):
        pieces: list[bytes] = []
        for payload in burst:
            pieces += (before, payload, tag)
        if number == len(packetized.bursts):
            pieces[-3] = at_last
        size, last_size = len(before) + len(burst[0]), len(before) + len(burst[-1])
        made.append(Image(b"".join(pieces), len(burst), size + layout.tag_bytes, size, last_size))
    return made


def _element(number: int, value: bytes) -> bytes:
    return bytes((number << 4 | len(value) - 1,)) + value


def resent(image: Image, index: int, layout: Layout, payload_type: int, sequence: int) -> bytes:
    """Make a retransmission of one packet (RFC 4588, section 4): the original's number, then its payload."""
    size = image.size if index < image.count - 1 else image.last_size
    packet = image.data[index * image.stride : index * image.stride + size]
    head = HEADER + len(layout.extensions)
    marked = packet[1] & MARKER | payload_type
    return b"".join((packet[:1], bytes((marked,)), packet[2:head], sequence.to_bytes(2, "big"), packet[head:]))

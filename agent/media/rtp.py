"""RTP packets without what differs between viewers (RFC 3550, section 5.1; header extensions RFC 8285, section 4.2)."""

from __future__ import annotations

import struct
import sys
from functools import lru_cache
from typing import Final, NamedTuple

from agent.media.packetize import Packetized, bursts

VERSION: Final = 0x80
EXTENSION: Final = 0x10
MARKER: Final = 0x80
HEADER: Final = 12
ONE_BYTE: Final = 0xBEDE  # the profile of one-byte header extensions

TRANSPORT_CC: Final = "http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01"
ABS_SEND_TIME: Final = "http://www.webrtc.org/experiments/rtp-hdrext/abs-send-time"
PLAYOUT_DELAY: Final = "http://www.webrtc.org/experiments/rtp-hdrext/playout-delay"
MID: Final = "urn:ietf:params:rtp-hdrext:sdes:mid"

TRANSPORT_NUMBER_AT: Final = HEADER + 4 + 1
"""Where in a packet the transport-wide number stands: after the block's first word and its own element's first byte."""

_HEADER: Final = struct.Struct(">BBHII")
_IDS: Final = range(1, 15)  # that a one-byte header can say (RFC 8285, section 4.2)
_MIDS: Final = range(1, 9)  # bytes; a longer one would make every packet larger, and the SSRCs in the SDP say the same
_MOST_PLAYOUT_DELAY_MS: Final = 40_950  # twelve bits of 10 ms
_LAYOUTS: Final = 64  # that are remembered
_SSRC_AT: Final = 8
_INT: Final = 4  # bytes of C's int, on all that Linux runs on


class Layout:
    """How the packets for a viewer are laid out: what its offer negotiated, and the bytes that SRTP appends.

    `extensions` is the whole block. A transport-wide sequence number, where there is one, is its first element.
    `send_time_at` is where in a packet abs-send-time stands. `overhead_bytes` is what a packet has beyond its payload,
    which sender reports leave out (RFC 3550, section 6.4.1). A packet is `start`, or `marked` for a picture's last,
    the timestamp, `rest`, the payload, and `tag`, which is the room for SRTP's.

    Equal ones that `of` makes are one object: packets are looked up by it for each picture and viewer, and its identity
    is the cheapest key.
    """

    __slots__ = (
        "extensions",
        "has_transport_cc",
        "marked",
        "overhead_bytes",
        "rest",
        "send_time_at",
        "start",
        "tag",
        "tag_bytes",
    )

    def __init__(
        self,
        payload_type: int,
        ssrc: int,
        tag_bytes: int,
        extensions: bytes,
        has_transport_cc: bool,
        send_time_at: int | None,
    ) -> None:
        self.tag_bytes = tag_bytes
        self.extensions = extensions
        self.has_transport_cc = has_transport_cc
        self.send_time_at = send_time_at
        self.overhead_bytes = HEADER + len(extensions) + tag_bytes
        first = VERSION | (EXTENSION if extensions else 0)
        self.start = bytes((first, payload_type, 0, 0))
        self.marked = bytes((first, MARKER | payload_type, 0, 0))
        self.rest = ssrc.to_bytes(4, "big") + extensions
        self.tag = bytes(tag_bytes)

    @staticmethod
    def of(
        payload_type: int, ids: dict[str, int], *, ssrc: int, mid: str, playout_delay_ms: int, tag_bytes: int
    ) -> Layout:
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
        return _layout(payload_type, ssrc, tag_bytes, extensions, TRANSPORT_CC in ids, send_time_at)


@lru_cache(_LAYOUTS)  # beyond them equal ones may be two, and packets are laid out once for each
def _layout(
    payload_type: int, ssrc: int, tag_bytes: int, extensions: bytes, has_transport_cc: bool, send_time_at: int | None
) -> Layout:
    return Layout(payload_type, ssrc, tag_bytes, extensions, has_transport_cc, send_time_at)


class Image:
    """A burst in one piece: `count` packets, each `stride` bytes after the one before, room for the tag included.

    Only sequence numbers are left open. `sizes` are the packets' bytes before SRTP, as C ints, which libsrtp takes.
    """

    __slots__ = ("count", "data", "sizes", "stride", "timestamp")

    # Written out: what a dataclass makes cannot be compiled.
    def __init__(self, data: bytes, count: int, stride: int, sizes: bytes, timestamp: int) -> None:
        self.data = data
        self.count = count
        self.stride = stride
        self.sizes = sizes
        self.timestamp = timestamp


class Retransmission(NamedTuple):
    """What a packet is sent again under: the numbers of its own, and `lost`, the one it had."""

    payload_type: int
    ssrc: int
    sequence: int
    timestamp: int
    transport_number: int
    lost: int


def images(packetized: Packetized, layout: Layout) -> list[Image]:
    """Give the packets of an access unit in this layout; they are made once, for all viewers that share it."""
    made = packetized.images.get(layout)
    if made is None:
        made = packetized.images[layout] = _images(packetized, layout)
    return made


def _images(packetized: Packetized, layout: Layout) -> list[Image]:
    start, marked, rest, tag = layout.start, layout.marked, layout.rest, layout.tag
    if layout.send_time_at is not None:  # seconds, 6.18 bits, of any clock that keeps its pace
        stamp = (int(packetized.published_at * (1 << 18)) & 0xFFFFFF).to_bytes(3, "big")
        at = layout.send_time_at - _SSRC_AT
        rest = rest[:at] + stamp + rest[at + 3 :]
    timestamp = packetized.timestamp.to_bytes(4, "big")
    before = b"".join((start, timestamp, rest))
    at_last = b"".join((marked, timestamp, rest))
    cut = bursts(packetized.unit.units)
    made: list[Image] = []
    for number, (heads, bodies) in enumerate(cut, 1):
        count = len(bodies)
        pieces = [before, b"", b"", tag] * count
        pieces[1::4] = heads
        pieces[2::4] = bodies
        if number == len(cut):
            pieces[-4] = at_last
        size = len(before) + len(heads[0]) + len(bodies[0])
        last = len(before) + len(heads[-1]) + len(bodies[-1])
        sizes = size.to_bytes(_INT, sys.byteorder) * (count - 1) + last.to_bytes(_INT, sys.byteorder)
        made.append(Image(b"".join(pieces), count, size + layout.tag_bytes, sizes, packetized.timestamp))
    return made


def _element(number: int, value: bytes) -> bytes:
    return bytes((number << 4 | len(value) - 1,)) + value


def resent(image: Image, index: int, layout: Layout, retransmission: Retransmission) -> bytes:
    """Make a retransmission of one packet (RFC 4588, section 4): the original's number, then its payload."""
    again, at = retransmission, index * image.stride
    packet = image.data[at : min(at + image.stride, len(image.data)) - layout.tag_bytes]
    head = HEADER + len(layout.extensions)
    extensions = packet[HEADER:head]
    if layout.has_transport_cc:
        at = TRANSPORT_NUMBER_AT - HEADER
        extensions = extensions[:at] + again.transport_number.to_bytes(2, "big") + extensions[at + 2 :]
    header = _HEADER.pack(
        packet[0], packet[1] & MARKER | again.payload_type, again.sequence, again.timestamp, again.ssrc
    )
    return b"".join((header, extensions, again.lost.to_bytes(2, "big"), packet[head:]))

"""What a viewer reports back (RFC 3550, section 6; RFC 4585; RFC 5104; transport-wide feedback), parsed with bounds.

And what it is told: sender reports.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

MOST_LOST: Final = 512
"""Sequence numbers taken of one NACK: more than a second of them is beyond what resending can heal."""

CLOCK_ATTRIBUTE: Final = "a=rtcp-xr:rcvr-rtt=all"
"""Said by offer and answer when a receiver's clock is asked and answered (RFC 3611, section 5.1)."""

_PADDING: Final = 0x20  # its last byte counts it (RFC 3550, section 6.4.1)
_SENDER_REPORT, _RECEIVER_REPORT = 200, 201
_DESCRIPTION, _CNAME = 202, 1
_TRANSPORT_FEEDBACK, _PAYLOAD_FEEDBACK = 205, 206
_EXTENDED_REPORT, _REFERENCE_TIME = 207, 4
_NACK, _TRANSPORT_CC = 1, 15
_PLI, _FIR, _APPLICATION = 1, 4, 15
_REPORTS_AT: Final = {_SENDER_REPORT: 28, _RECEIVER_REPORT: 8}
_REPORT: Final = struct.Struct(">IB3sIIII")
_ABOUT_A_SENDER: Final = struct.Struct(">BBHIQIII")
_DELAY_SINCE: Final = struct.Struct(">BBHIBBHIII")


class MalformedRtcp(ValueError):
    """The bytes are no compound RTCP packet."""


class Report:
    """One block of a receiver report (RFC 3550, section 6.4.1). `dlsr_s` is how long it held `lsr`."""

    __match_args__ = ("ssrc", "fraction_lost", "lsr", "dlsr_s")
    __slots__ = ("dlsr_s", "fraction_lost", "lsr", "ssrc")

    # Written out: the two kinds that come many times a second; what a dataclass makes cannot be compiled.
    def __init__(self, ssrc: int, fraction_lost: float, lsr: int, dlsr_s: float) -> None:
        self.ssrc = ssrc
        self.fraction_lost = fraction_lost
        self.lsr = lsr
        self.dlsr_s = dlsr_s


@dataclass(frozen=True, slots=True)
class Nack:
    """Packets that did not arrive (RFC 4585, section 6.2.1)."""

    ssrc: int
    lost: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class KeyframeRequest:
    """A PLI or a FIR (RFC 4585, section 6.3.1; RFC 5104, section 4.3.1); `cause` is which, in small letters."""

    ssrc: int
    cause: str


@dataclass(frozen=True, slots=True)
class Remb:
    """The rate that a receiver believes in (draft-alvestrand-rmcat-remb-03)."""

    bitrate_bps: int


class TransportFeedback:
    """Arrival times by transport-wide number; `fci` is for `transport_cc`."""

    __match_args__ = ("fci",)
    __slots__ = ("fci",)

    def __init__(self, fci: bytes) -> None:
        self.fci = fci


@dataclass(frozen=True, slots=True)
class ReferenceTime:
    """A receiver's clock (RFC 3611, section 4.4): the middle 32 bits of its NTP time, as an answer repeats them."""

    ssrc: int
    ntp_middle: int


Feedback = Report | Nack | KeyframeRequest | Remb | TransportFeedback | ReferenceTime


def parse(data: bytes) -> Iterator[Feedback]:
    """Read a compound packet; kinds that mean nothing to a sender are passed over. Errors: MalformedRtcp."""
    at, size = 0, len(data)
    while at < size:
        if size - at < 8 or data[at] >> 6 != 2:
            raise MalformedRtcp("no RTCP header")
        end = at + 4 + 4 * (data[at + 2] << 8 | data[at + 3])
        if end > size or end < at + 8:
            raise MalformedRtcp("an RTCP packet is cut short")
        kind, count = data[at + 1], data[at] & 0x1F
        until = end
        if data[at] & _PADDING:
            until -= data[end - 1]
            if not at + 8 <= until < end:
                raise MalformedRtcp("an RTCP packet is all padding, or says that it has none")
        # What comes many times a second is read right here: a generator within this one would cost as much again.
        if kind == _TRANSPORT_FEEDBACK:
            if until >= at + 12:
                if count == _TRANSPORT_CC:
                    yield TransportFeedback(data[at + 12 : until])
                elif count == _NACK:
                    yield _nack(data[at + 8 : at + 12], data[at + 12 : until])
        elif kind in _REPORTS_AT:
            first = at + _REPORTS_AT[kind]
            if count and until < first + count * _REPORT.size:
                raise MalformedRtcp("a report is cut short")
            for place in range(first, first + count * _REPORT.size, _REPORT.size):
                ssrc, fraction, _, _, _, lsr, dlsr = _REPORT.unpack_from(data, place)
                yield Report(ssrc, fraction / 256, lsr, dlsr / 65536)
        elif kind == _PAYLOAD_FEEDBACK and until >= at + 12:
            yield from _payload(data[at + 8 : at + 12], data[at + 12 : until], count)
        elif kind == _EXTENDED_REPORT:
            yield from _extended(int.from_bytes(data[at + 4 : at + 8], "big"), data[at + 8 : until])
        at = end


def sender_report(ssrc: int, *, ntp: int, timestamp: int, packets: int, octets: int) -> bytes:
    """Make an SR without blocks (RFC 3550, section 6.4.1), which a `description` has to follow (section 6.1).

    `ntp` has 64 bits (RFC 5905, section 6) and is of the same moment as the RTP `timestamp`; all but `ssrc` wrap.
    """
    ntp &= 0xFFFF_FFFF_FFFF_FFFF
    timestamp, packets, octets = timestamp & 0xFFFFFFFF, packets & 0xFFFFFFFF, octets & 0xFFFFFFFF
    return _ABOUT_A_SENDER.pack(0x80, _SENDER_REPORT, 6, ssrc, ntp, timestamp, packets, octets)


def description(ssrc: int, name: str) -> bytes:
    """Name a source: an SDES packet with its CNAME (RFC 3550, section 6.5), which has up to 255 bytes of UTF-8."""
    text = name.encode()
    chunk = struct.pack(">IBB", ssrc, _CNAME, len(text)) + text
    chunk += bytes(4 - len(chunk) % 4)  # from one to four: the list of items ends with a zero
    return struct.pack(">BBH", 0x81, _DESCRIPTION, len(chunk) // 4) + chunk


def delay_since(asked: ReferenceTime, delay_s: float, ssrc: int) -> bytes:
    """Answer a receiver's clock `delay_s` after it came: an XR with one DLRR block (RFC 3611, section 4.5)."""
    delay = min(max(0, round(delay_s * 65536)), 0xFFFFFFFF)
    return _DELAY_SINCE.pack(0x80, _EXTENDED_REPORT, 5, ssrc, 5, 0, 3, asked.ssrc, asked.ntp_middle, delay)


def _nack(media: bytes, fci: bytes) -> Nack:
    lost: list[int] = []
    for at in range(0, len(fci) - 3, 4):
        first, mask = struct.unpack_from(">HH", fci, at)
        lost.append(first)
        while mask:
            low = mask & -mask
            lost.append((first + low.bit_length()) & 0xFFFF)
            mask ^= low
        if len(lost) >= MOST_LOST:
            break
    return Nack(int.from_bytes(media, "big"), tuple(lost[:MOST_LOST]))


def _payload(media: bytes, fci: bytes, kind: int) -> Iterator[Feedback]:
    if kind == _PLI:
        yield KeyframeRequest(int.from_bytes(media, "big"), "pli")
    elif kind == _FIR:
        for at in range(0, len(fci) - 7, 8):
            yield KeyframeRequest(int.from_bytes(fci[at : at + 4], "big"), "fir")
    elif kind == _APPLICATION and fci[:4] == b"REMB" and len(fci) >= 8:
        exponent, mantissa = fci[5] >> 2, int.from_bytes(fci[5:8], "big") & 0x3FFFF
        yield Remb(mantissa << exponent)


def _extended(ssrc: int, blocks: bytes) -> Iterator[Feedback]:
    at = 0
    while at + 4 <= len(blocks):
        end = at + 4 + 4 * int.from_bytes(blocks[at + 2 : at + 4], "big")
        if end > len(blocks):
            raise MalformedRtcp("an extended report is cut short")
        if blocks[at] == _REFERENCE_TIME and end == at + 12:
            yield ReferenceTime(ssrc, int.from_bytes(blocks[at + 6 : at + 10], "big"))
        at = end

"""Packets made a viewer's own and protected, a burst at a time, in a buffer that all viewers share (RFC 3711).

What viewers report is unprotected there as well. pylibsrtp's methods copy every packet twice; this calls the same
functions of libsrtp on the place where a packet is sent from. It stands on pylibsrtp's private `_binding` and `_srtp`:
tests/agent/webrtc/test_srtp.py tells what moved.

In Python a burst is worked on by columns, not by packets: the same two bytes of all its packets are one strided
assignment, and libsrtp is called from `map`. What is done for one packet more is then next to nothing. Where the hot
path is compiled, it is one call of `wire.py`.
"""

from __future__ import annotations

import struct
from itertools import repeat
from typing import Any, Final

from pylibsrtp import Session
from pylibsrtp._binding import ffi, lib

from agent.media.packetize import MOST_IN_BURST
from agent.media.rtp import TRANSPORT_NUMBER_AT, Image, Layout
from agent.webrtc.wire import WIRE

_PROTECT: Final = lib.srtp_protect
_PROTECT_AT: Final = int(ffi.cast("uintptr_t", ffi.addressof(lib, "srtp_protect")))
_PROTECT_REPORT, _UNPROTECT_REPORT = lib.srtp_protect_rtcp, lib.srtp_unprotect_rtcp
_BYTES: Final = 65_536  # more than the largest datagram
_BUFFER: Final = ffi.new("unsigned char[]", _BYTES)
_VIEW: Final = memoryview(ffi.buffer(_BUFFER))
_LENGTHS: Final = ffi.new("int[]", MOST_IN_BURST)
_LENGTHS_VIEW: Final = memoryview(ffi.buffer(_LENGTHS)).cast("B")
_EACH_LENGTH: Final = [_LENGTHS + index for index in range(MOST_IN_BURST)]
_INT: Final = ffi.sizeof("int")
_PLACES: Final[dict[int, list[Any]]] = {}  # where the packets of a burst begin, by stride: one or two in a process

# All 16-bit numbers in a row, and as many more as a burst that wraps needs: their high bytes, and their low ones.
_NUMBERS: Final = struct.pack(f">{0x10000 + MOST_IN_BURST}H", *(n & 0xFFFF for n in range(0x10000 + MOST_IN_BURST)))
_HIGH, _LOW = memoryview(_NUMBERS)[0::2], memoryview(_NUMBERS)[1::2]


class ProtectError(Exception):
    """libsrtp refused a packet; the number is its `srtp_err_status_t`."""


class Protector:
    """Protects what one viewer is sent. One thread, and each sequence number once: a nonce of GCM must not repeat."""

    def __init__(self, session: Session, layout: Layout) -> None:
        self._session = session._srtp[0]
        self._session_at = int(ffi.cast("uintptr_t", self._session))
        self._owner = session  # frees `_session` when it goes
        self._has_transport_cc = layout.has_transport_cc

    def burst(
        self, image: Image, first: int, count: int, *, sequence: int, timestamp: int, transport_number: int
    ) -> memoryview:
        """Make `count` packets of `image` ready to be sent: numbered from `sequence` on, and protected.

        What comes back is valid until the next call. Errors: ProtectError.
        """
        if WIRE is None:
            return self._by_columns(image, first, count, sequence, timestamp, transport_number)
        number_at = TRANSPORT_NUMBER_AT if self._has_transport_cc else 0
        end = min(count * image.stride, len(image.data) - first * image.stride)
        numbers = sequence, timestamp, number_at, transport_number
        data, sizes, stride = image.data, image.sizes, image.stride
        status = WIRE.protect(_PROTECT_AT, self._session_at, _VIEW, data, sizes, first, count, stride, *numbers)
        if status:
            raise ProtectError(status)
        return _VIEW[:end]

    def packet(self, packet: bytes) -> memoryview:
        """Protect one packet that is whole, a resent one say. Valid until the next call. Errors: ProtectError."""
        return _in_place(_PROTECT, self._session, packet)

    def report(self, compound: bytes) -> memoryview:
        """Protect a compound RTCP packet (RFC 3711, section 3.4). Valid until the next call. Errors: ProtectError."""
        return _in_place(_PROTECT_REPORT, self._session, compound)

    def _by_columns(
        self, image: Image, first: int, count: int, sequence: int, timestamp: int, transport_number: int
    ) -> memoryview:
        stride, sizes = image.stride, memoryview(image.sizes).cast("B")
        data: bytes | memoryview = image.data
        if count < image.count:
            data = memoryview(data)[first * stride : (first + count) * stride]
            sizes = sizes[first * _INT : (first + count) * _INT]
        end = len(data)
        _VIEW[:end] = data
        _number(2, end, stride, sequence, count)
        if self._has_transport_cc:
            _number(TRANSPORT_NUMBER_AT, end, stride, transport_number, count)
        if timestamp != image.timestamp:
            for at, byte in enumerate(timestamp.to_bytes(4, "big"), 4):
                _VIEW[at:end:stride] = bytes((byte,)) * count
        _LENGTHS_VIEW[: count * _INT] = sizes  # in; out comes the length with the tag, which is known
        places = _PLACES.get(stride) or _places(stride, count)
        statuses = map(_PROTECT, repeat(self._session, count), places, _EACH_LENGTH)
        if status := next(filter(None, statuses), 0):
            raise ProtectError(status)
        return _VIEW[:end]


class Unprotector:
    """Unprotects what one viewer reports, in the same buffer."""

    def __init__(self, session: Session) -> None:
        self._session = session._srtp[0]
        self._owner = session  # frees `_session` when it goes

    def report(self, data: bytes) -> bytes:
        """Give the compound RTCP packet that is in an SRTCP one (RFC 3711, section 3.4).

        Errors: ProtectError where it is none, was made with another key, or has come before.
        """
        return bytes(_in_place(_UNPROTECT_REPORT, self._session, data))


def _in_place(process: Any, session: Any, packet: bytes) -> memoryview:
    """Have libsrtp change one packet at the buffer's beginning. Valid until the next call. Errors: ProtectError."""
    size = len(packet)
    _VIEW[:size] = packet
    _LENGTHS[0] = size
    if status := process(session, _BUFFER, _LENGTHS):
        raise ProtectError(status)
    size = _LENGTHS[0]
    return _VIEW[:size]


def _number(at: int, end: int, stride: int, first: int, count: int) -> None:
    """Write consecutive 16-bit numbers, one into each packet."""
    _VIEW[at:end:stride] = _HIGH[first : first + count]
    _VIEW[at + 1 : end : stride] = _LOW[first : first + count]


def _places(stride: int, count: int) -> list[Any]:
    """Point at where packets begin. Lone packets have any stride, but begin where all begin."""
    if count == 1:
        return [_BUFFER]
    places = _PLACES[stride] = [_BUFFER + at for at in range(0, _BYTES - stride, stride)]
    return places

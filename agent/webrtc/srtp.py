"""Packets made a viewer's own and protected, a burst at a time, in a buffer that all viewers share (RFC 3711).

pylibsrtp's `protect` copies every packet twice; this calls the same function of libsrtp on the place where the packet
is sent from. It stands on pylibsrtp's private `_binding` and `_srtp`: tests/agent/webrtc/test_srtp.py tells what moved.
"""

from __future__ import annotations

import struct
from typing import Any, Final

from pylibsrtp import Session
from pylibsrtp._binding import ffi, lib

from agent.media.rtp import Image, Layout

_BYTES: Final = 65_536  # more than the largest datagram
_BUFFER: Final = ffi.new("unsigned char[]", _BYTES)
_VIEW: Final = memoryview(ffi.buffer(_BUFFER))
_LENGTH: Final = ffi.new("int *")
_PLACES: Final[dict[int, list[Any]]] = {}  # where the packets of a burst begin, by stride: one or two in a process

_HEADER: Final = struct.Struct(">HII")  # sequence number, timestamp, SSRC (RFC 3550, section 5.1)
_AND_TRANSPORT_CC: Final = struct.Struct(
    ">HIIIBH"
)  # the extensions' first word and byte, and the transport-wide number


class ProtectError(Exception):
    """libsrtp refused a packet; the number is its `srtp_err_status_t`."""


class Protector:
    """Protects the packets of one SSRC. One thread, and each sequence number once: a nonce of GCM must not repeat."""

    def __init__(self, session: Session, layout: Layout, ssrc: int) -> None:
        self._session = session._srtp[0]
        self._owner = session  # frees `_session` when it goes
        self._ssrc = ssrc
        self._tag_bytes = layout.tag_bytes
        self._constants: tuple[int, int] | None = None
        if layout.has_transport_cc:
            self._constants = int.from_bytes(layout.extensions[:4], "big"), layout.extensions[4]

    def burst(
        self, image: Image, first: int, count: int, *, sequence: int, timestamp: int, transport_number: int
    ) -> memoryview:
        """Make `count` packets of `image` ready to be sent: numbered from `sequence` on, and protected.

        What comes back is valid until the next call. Errors: ProtectError.
        """
        stride, size, data = image.stride, image.size, image.data
        if count == image.count:
            total = len(data)
            _VIEW[:total] = data
        else:
            part = memoryview(data)[first * stride : (first + count) * stride]
            total = len(part)
            _VIEW[:total] = part
        last = count - 1 if first + count == image.count else -1
        places = _PLACES.get(stride) or _places(stride, count)
        protect, session, ssrc, at = lib.srtp_protect, self._session, self._ssrc, 2
        for index in range(count):
            number = sequence + index & 0xFFFF
            if self._constants is None:
                _HEADER.pack_into(_VIEW, at, number, timestamp, ssrc)
            else:
                _AND_TRANSPORT_CC.pack_into(
                    _VIEW, at, number, timestamp, ssrc, *self._constants, transport_number + index & 0xFFFF
                )
            _LENGTH[0] = image.last_size if index == last else size
            if status := protect(session, places[index], _LENGTH):
                raise ProtectError(status)
            at += stride
        return _VIEW[:total]

    def packet(self, packet: bytes, *, sequence: int, timestamp: int, transport_number: int) -> memoryview:
        """Make one packet ready to be sent, a resent one say. Errors: ProtectError."""
        size = len(packet)
        image = Image(packet + bytes(self._tag_bytes), 1, size + self._tag_bytes, size, size)
        return self.burst(image, 0, 1, sequence=sequence, timestamp=timestamp, transport_number=transport_number)


def _places(stride: int, count: int) -> list[Any]:
    """Point at where packets begin. Lone packets have any stride, but begin where all begin."""
    if count == 1:
        return [_BUFFER]
    places = _PLACES[stride] = [_BUFFER + at for at in range(0, _BYTES - stride, stride)]
    return places

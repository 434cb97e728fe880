"""A flight of DTLS as datagrams (pure)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

MAX_DATAGRAM: Final = 1200  # passes any network that WebRTC passes
_HEADER_BYTES: Final = 13  # RFC 6347, section 4.1; the last two are the length of what follows


def datagrams(flight: bytes) -> Iterator[bytes]:
    """Cut a flight between records, which must not span datagrams (RFC 6347, section 4.1.1).

    There are as few datagrams as there need be; a record that is longer than one should be goes alone.
    """
    begin = end = 0
    while end < len(flight):
        size = _HEADER_BYTES + int.from_bytes(flight[end + _HEADER_BYTES - 2 : end + _HEADER_BYTES])
        if begin < end and end + size - begin > MAX_DATAGRAM:
            yield flight[begin:end]
            begin = end
        end += size
    if begin < end:
        yield flight[begin:]

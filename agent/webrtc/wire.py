"""What of a burst is C where the hot path is compiled (docs/decisions/0024-a-page-of-c.md).

The Python that does the same stands in `srtp.py` and `path.py`.
"""

from __future__ import annotations

from importlib import import_module
from typing import Final, Protocol, cast

from agent import hot_path


class Wire(Protocol):
    """The functions of `_wire.c`."""

    def protect(
        self,
        function: int,
        session: int,
        buffer: memoryview,
        data: bytes,
        sizes: bytes,
        first: int,
        count: int,
        stride: int,
        sequence: int,
        timestamp: int,
        number_at: int,
        number: int,
    ) -> int:
        """Copy `count` packets of an image into `buffer`, from `first` on, number them, and protect each.

        `function` is where libsrtp's `srtp_protect` is, `session` its srtp_t, and `sizes` are the bytes of all packets
        of the image as C ints. `number_at` is where in a packet the transport-wide number stands; 0 for nowhere. Gives
        libsrtp's status. Errors: ValueError for what does not fit together.
        """

    def send(self, sock: int, address: bytes, packets: memoryview, stride: int) -> None:
        """Send packets of `stride` bytes each to `address`, a struct sockaddr: with UDP_SEGMENT when they are several.

        Errors: OSError.
        """


WIRE: Final = cast("Wire", import_module("agent.webrtc._wire")) if hot_path.HOW == "compiled" else None

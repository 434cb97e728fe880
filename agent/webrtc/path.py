"""The way of protected packets to a viewer: many with one system call where the network takes that."""

from __future__ import annotations

import errno
import socket
import struct
from collections.abc import Callable
from typing import Final, Literal

from agent.webrtc.inbox import Inbox
from agent.webrtc.wire import WIRE

_UDP_SEGMENT: Final = 103  # linux/udp.h; Python has no name for it
_NO_SEGMENTATION: Final = frozenset({errno.EIO, errno.EINVAL, errno.EOPNOTSUPP, errno.EMSGSIZE})

Address = tuple[str | int, ...] | str
"""As the socket's family has it: host and port, with two numbers more in IPv6, or the name of a local socket."""

Way = Literal["gso", "single", "relay"]


class Path:
    """Sends to one address, from a socket of ours or through a relay.

    `way` says how: "gso" hands the kernel a whole burst (udp(7), UDP_SEGMENT), "single" goes packet by packet, because
    the network device refused bursts, and "relay" packet by packet through TURN.
    """

    def __init__(
        self,
        sock: socket.socket | None,
        address: Address,
        relay: Callable[[bytes, Address], None],
        *,
        inbox: Inbox | None = None,
        on_close: Callable[[], None] = lambda: None,
    ) -> None:
        """`sock` is None for a relay; it is closed with the path. `inbox` is what reads it, if that is not asyncio."""
        self.way: Way = "relay" if sock is None else "gso"
        self._inbox = inbox
        self._on_close = on_close
        self._socket = sock
        self._address = address
        self._relay = relay
        self._sockaddr = _sockaddr(sock.family, address) if sock is not None else b""
        self._control: dict[int, list[tuple[int, int, bytes]]] = {}

    def send(self, packets: memoryview, stride: int) -> None:
        """Send packets of `stride` bytes each, the last of which may be shorter.

        Errors: BlockingIOError when the socket takes no more; OSError when the network is not there.
        """
        if self._socket is None:
            for at in range(0, len(packets), stride):
                self._relay(bytes(packets[at : at + stride]), self._address)
        elif self.way == "gso" or len(packets) <= stride:
            self._send_burst(self._socket, packets, stride)
        else:
            self._send_each(self._socket, packets, stride)

    def hurry(self) -> None:
        """Have what the viewer sends read at once for a while."""
        if self._inbox is not None and self._socket is not None:
            self._inbox.hurry(self._socket)

    def close(self) -> None:
        """Let go of the socket. Harmless twice."""
        if self._socket is None or self._socket.fileno() < 0:
            return
        if self._inbox is not None:
            self._inbox.leave(self._socket)
        self._socket.close()
        self._on_close()

    def _send_burst(self, sock: socket.socket, packets: memoryview, stride: int) -> None:
        try:
            self._sendmsg(sock, packets, stride)
        except OSError as error:
            if error.errno not in _NO_SEGMENTATION or len(packets) <= stride:
                raise
            self.way = "single"  # a network device without checksum offload, or a path with a smaller MTU
            self._send_each(sock, packets, stride)

    def _send_each(self, sock: socket.socket, packets: memoryview, stride: int) -> None:
        for at in range(0, len(packets), stride):
            self._sendmsg(sock, packets[at : at + stride], stride)

    def _sendmsg(self, sock: socket.socket, packets: memoryview, stride: int) -> None:
        if WIRE is not None and self._sockaddr:
            WIRE.send(sock.fileno(), self._sockaddr, packets, stride)
        else:
            sock.sendmsg((packets,), self._segments(stride) if len(packets) > stride else (), 0, self._address)

    def _segments(self, stride: int) -> list[tuple[int, int, bytes]]:
        control = self._control.get(stride)
        if control is None:
            control = self._control[stride] = [(socket.IPPROTO_UDP, _UDP_SEGMENT, struct.pack("=H", stride))]
        return control


def _sockaddr(family: int, address: Address) -> bytes:
    """Give a struct sockaddr (ip(7), ipv6(7)), or nothing for what is more than an IP address and a port, or less."""
    if isinstance(address, str) or any(address[2:]):  # the name of a local socket; a flow or a zone
        return b""
    try:
        host = socket.inet_pton(family, str(address[0]))
    except OSError:  # a zone again, behind a percent sign
        return b""
    head = struct.pack("=H", family) + int(address[1]).to_bytes(2, "big")
    return head + host + bytes(8) if family == socket.AF_INET else head + bytes(4) + host + bytes(4)

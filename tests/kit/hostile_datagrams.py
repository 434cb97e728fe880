"""What a stranger sends to a session's socket, by name; and the flood of it, as a process of its own.

    python -m tests.kit.hostile_datagrams ADDRESS PORT COUNT PER_SECOND

prints how many datagrams were sent, of how many bytes, and how many bytes came back, as JSON.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import socket
import struct
import sys
import time

from aioice import stun

PASSWORD = "not-the-password-of-ours"


def request(username: str = "abcd:efgh", password: str = PASSWORD, **more: object) -> bytes:
    """A connectivity check as aioice makes them, with the attributes that are named."""
    message = stun.Message(message_method=stun.Method.BINDING, message_class=stun.Class.REQUEST)
    message.attributes = {"USERNAME": username, "PRIORITY": 1, "ICE-CONTROLLING": 1} | more
    message.add_message_integrity(password.encode())
    return bytes(message)


def raw_stun(*attributes: tuple[int, bytes], what: int = 1) -> bytes:
    """A STUN message with these attributes, whatever they are."""
    body = b"".join(
        struct.pack("!HH", number, len(value)) + value + bytes(-len(value) % 4) for number, value in attributes
    )
    return struct.pack("!HHI12s", what, len(body), stun.COOKIE, b"transaction!") + body


def _null_cipher_hello() -> bytes:
    """A ClientHello whose only cipher is TLS_RSA_WITH_NULL_SHA256 (RFC 6347, section 4.2)."""
    hello = b"\xfe\xfd" + bytes(32) + b"\0\0" + b"\0\x02\0\x3b" + b"\x01\0"
    size = len(hello).to_bytes(3)
    handshake = b"\x01" + size + bytes(2) + bytes(3) + size + hello
    return b"\x16\xfe\xfd" + bytes(8) + len(handshake).to_bytes(2) + handshake


HOSTILE: dict[str, bytes] = {
    "nothing": b"",
    "one byte": b"\x00",
    "one byte of DTLS": b"\x16",
    "a plaintext alert": b"\x15\xfe\xfd" + bytes(8) + b"\0\x02\x02\x28",
    "a plaintext close": b"\x15\xfe\xfd" + bytes(8) + b"\0\x02\x01\x00",
    "a NULL-cipher ClientHello": _null_cipher_hello(),
    "a check without integrity": raw_stun(),
    "a check with another's integrity": request(),
    "a check cut short": request()[:41],
    "a check with an attribute that ends outside": raw_stun((6, b"abcd:efgh"))[:-2] + b"\xff\xff",
    "a check with an empty priority": raw_stun((6, b"abcd:efgh"), (0x24, b""), (8, bytes(20))),
    "a check with a short role": raw_stun((6, b"abcd:efgh"), (0x24, bytes(4)), (0x802A, bytes(3)), (8, bytes(20))),
    "a check of an unreadable user": raw_stun((6, b"\xff\xfe\xfd:\xff"), (8, bytes(20))),
    "a check with an address of no family": raw_stun((0x20, bytes(3)), (1, b"\0\x07\0\0"), (8, bytes(20))),
    "a check with many attributes": raw_stun(*[(0xC001, b"")] * 120),
    "a response to nothing": raw_stun((0x20, bytes(8)), what=0x0101),
    "an error to nothing": raw_stun((9, bytes(1)), what=0x0111),
    "an indication": raw_stun(what=0x0011),
    "an allocation": raw_stun(what=0x0003),
    "RTCP": b"\x81\xc9\0\x07" + bytes(46),
    "RTP": b"\x80\x60" + bytes(1100),
    "a channel's data": b"\x40\0\0\x04data",
    "more than a packet": b"\x80\x60" + bytes(9000),
    "random bytes": bytes(range(7, 250)),
}


class Stranger:
    """A socket that is nobody's candidate, on the way to some addresses."""

    def __init__(self, address: str) -> None:
        self.sent_bytes = self.reply_bytes = self.sent = 0
        self._socket = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind((address, 0))
        self._socket.setblocking(False)

    @property
    def address(self) -> tuple[str, int]:
        """Where it sends from."""
        host, port, *_ = self._socket.getsockname()
        return host, port

    def send(self, data: bytes, to: tuple[str, int]) -> None:
        """Send one datagram; a full socket loses it."""
        with contextlib.suppress(BlockingIOError):
            self._socket.sendto(data, to)
            self.sent += 1
            self.sent_bytes += len(data)

    def listen(self) -> None:
        """Count what came back since."""
        with contextlib.suppress(BlockingIOError):
            while True:
                self.reply_bytes += len(self._socket.recv(65536))

    def close(self) -> None:
        self._socket.close()


def _flood(address: str, port: int, count: int, per_second: int) -> dict[str, int]:
    stranger = Stranger(address)
    datagrams = itertools.cycle(HOSTILE.values())
    begun = time.monotonic()
    while stranger.sent < count:
        for _ in range(per_second // 100):
            stranger.send(next(datagrams), (address, port))
        stranger.listen()
        time.sleep(max(0.0, stranger.sent / per_second - (time.monotonic() - begun)))
    time.sleep(0.5)
    stranger.listen()
    stranger.close()
    return {"sent": stranger.sent, "sent_bytes": stranger.sent_bytes, "reply_bytes": stranger.reply_bytes}


if __name__ == "__main__":
    address, *numbers = sys.argv[1:]
    sys.stdout.write(json.dumps(_flood(address, *map(int, numbers))))

"""A socket that takes no more, because nobody reads at the other end."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def full_socket(directory: Path) -> Iterator[tuple[socket.socket, str]]:
    """Give a full socket, and the address that it is full for.

    It is of the Unix family, because a UDP socket on loopback never fills; the system calls and the error are the same.
    """
    address = str(directory / "nobody-reads")
    with (
        socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as reader,
        socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as writer,
    ):
        reader.bind(address)
        writer.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            while True:
                writer.sendto(b"unread", address)
        yield writer, address

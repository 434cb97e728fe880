"""What viewers send is read when a picture has left, or every second one, all of it at once.

Sixteen viewers report a hundred and sixty times a second, and each waking of a processor that sleeps costs several
times what the report itself does. The kernel notes when a datagram came: what is timed by it stays as exact.
"""

from __future__ import annotations

import asyncio
import logging
import select
import socket
import struct
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

_LOG: Final = logging.getLogger(__name__)

REST_S: Final = 0.045
"""Between two readings, so that at 30 fps there is one with every second picture: with cold caches the first report of
one costs 200 us, each further one 10."""

LONGEST_S: Final = 0.1
"""How long a datagram waits when no picture leaves: ICE and DTLS bear ten times as much."""

AT_ONCE_S: Final = 2.0
"""How long a viewer that loses packets is read at once: what is sent again late is no use."""

MOST_AT_A_TIME: Final = 512
"""Datagrams of one socket that one reading takes. What is over comes with the next picture: then it does not rest."""

_SO_TIMESTAMPNS: Final = 35  # asm-generic/socket.h; Python has no name for it
_TIMESPEC: Final = struct.Struct("@ll")
_CONTROL_BYTES: Final = socket.CMSG_SPACE(_TIMESPEC.size)
_LARGEST: Final = 2048  # more than any MTU that a viewer's packets pass

Receive = Callable[[bytes, Any], None]


@dataclass(slots=True)
class _Box:
    sock: socket.socket
    receive: Receive
    at_once_until: float = 0.0


class Inbox:
    """Reads the sockets that join it, at each `read` that comes REST_S after the last, and by itself after LONGEST_S.

    `age_s` is how long ago the datagram came that is being handed over; 0 outside of that.
    """

    def __init__(
        self,
        *,
        rest_s: float = REST_S,
        longest_s: float = LONGEST_S,
        at_once_s: float = AT_ONCE_S,
        most_at_a_time: int = MOST_AT_A_TIME,
    ) -> None:
        self.age_s = 0.0
        self._rest_s = rest_s
        self._longest_s = longest_s
        self._at_once_s = at_once_s
        self._most_at_a_time = most_at_a_time
        self._loop = asyncio.get_running_loop()
        self._poll = select.poll()
        self._boxes: dict[int, _Box] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._rests_until = 0.0

    def join(self, sock: socket.socket, receive: Receive) -> None:
        """Read this socket from now on; `receive` gets each datagram and where it came from."""
        sock.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)
        self._boxes[sock.fileno()] = _Box(sock, receive)
        self._poll.register(sock, select.POLLIN)
        if self._timer is None:
            self._timer = self._loop.call_later(self._longest_s, self._read)

    def leave(self, sock: socket.socket) -> None:
        """Read it no more; called before it is closed. Harmless twice."""
        if self._boxes.pop(sock.fileno(), None) is not None:
            self._poll.unregister(sock)
            self._loop.remove_reader(sock)
        if not self._boxes and self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def hurry(self, sock: socket.socket) -> None:
        """Read it at once for the next AT_ONCE_S."""
        box = self._boxes.get(sock.fileno())
        if box is not None:
            if not box.at_once_until:
                self._loop.add_reader(sock, self._take, box)
                self._loop.call_later(self._at_once_s, self._calm, box)
            box.at_once_until = self._loop.time() + self._at_once_s

    def read(self) -> None:
        """Hand over all that has come, unless it rests."""
        if time.monotonic() >= self._rests_until:
            self._read()

    def _read(self) -> None:
        now = time.monotonic()
        for _ in range(self._most_at_a_time):
            ready = self._poll.poll(0)  # again, where one more reading of each would cost an exception each
            for fileno, _ in ready:
                if (box := self._boxes.get(fileno)) is not None:  # one may leave because of what another one says
                    self._take(box)
            if not ready:
                self._rests_until = now + self._rest_s
                break
        if self._timer is not None:  # put off, so that it wakes nobody while pictures leave
            self._timer.cancel()
            self._timer = self._loop.call_at(now + self._longest_s, self._read)

    def _calm(self, box: _Box) -> None:
        if self._boxes.get(box.sock.fileno()) is not box:
            return
        if self._loop.time() < box.at_once_until:
            self._loop.call_at(box.at_once_until, self._calm, box)
        else:
            box.at_once_until = 0.0
            self._loop.remove_reader(box.sock)

    def _take(self, box: _Box) -> None:
        try:
            data, control, _, address = box.sock.recvmsg(_LARGEST, _CONTROL_BYTES)
        except OSError:  # nothing is there after all, or the network says that the viewer is not
            return
        if control:
            seconds, nanoseconds = _TIMESPEC.unpack(control[0][2])
            self.age_s = min(max(0.0, time.time() - seconds - nanoseconds / 1e9), self._longest_s)
        try:
            box.receive(data, address)
        except Exception:  # noqa: BLE001  # one viewer's fault is not the others': asyncio, too, would log it and go on
            _LOG.exception("a datagram was not taken")
        finally:
            self.age_s = 0.0

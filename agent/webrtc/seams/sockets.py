"""The guard in the place of aioice's side of a socket."""

from __future__ import annotations

import asyncio
import struct
from typing import Any, Final

from aioice import ice, stun
from aioice.ice import CandidatePair, Connection, StunProtocol
from aiortc import RTCDtlsTransport

from agent.webrtc.guard import MAX_QUEUED, Guard, Kind, Receive

DATA_RECEIVED: Final = "data_received"
CHECK_STATE: Final = "check_state"
GUARD: Final = "camward_guard"  # a name of ours on aioice's connections
REPORT_RECEIVED: Final = "camward_report_received"  # another
MAX_SIZE: Final = "max_size"
SOCKET: Final = "StunProtocol"
PARSE: Final = "parse_message"
RECEIVE_BYTES: Final = 2048  # more than a datagram may have, so that a longer one is seen to be
CONSENT_FAILURES: Final = 4  # checks every 4 to 6 s, each waited for half a second: consent ends within 26 s

ice.CONSENT_FAILURES = CONSENT_FAILURES  # its own 6 take 33 s; RFC 7675, section 5.1: 30 at most


class GuardedSocket(StunProtocol):
    """Stands in for aioice's side of a socket: all that arrives has to pass the guard, where its connection has one.

    aioice answers whoever asks, takes any bytes for STUN or data, and raises where an attribute is too short.
    """

    def __init__(self, receiver: Connection) -> None:
        super().__init__(receiver)
        self._guard: Guard | None = getattr(receiver, GUARD, None)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin to hear."""
        super().connection_made(transport)
        if self._guard is not None:
            # asyncio makes room for 256 KiB before each datagram that it receives: ten times the cost of receiving.
            setattr(transport, MAX_SIZE, RECEIVE_BYTES)

    def datagram_received(self, data: bytes | str, addr: tuple[Any, ...]) -> None:
        """Hand a datagram on, if it may pass."""
        guard = self._guard
        if guard is None or isinstance(data, str):
            super().datagram_received(data, addr)
            return
        kind = guard.sort(data, (self.id, addr[0], addr[1]))
        if kind is Kind.DATA:
            self.receiver.data_received(data, self.local_candidate.component)
        elif kind is Kind.CHECK:
            self._check(guard, data, (addr[0], addr[1]))
        elif kind is Kind.RESPONSE:
            self._response(guard, data, (addr[0], addr[1]))

    def shortcut(self, addr: tuple[Any, ...]) -> Receive:
        """Give what does as `datagram_received` does, and in fewer steps where a report from `addr` comes."""
        report = getattr(self.receiver, REPORT_RECEIVED, None)
        if self._guard is None or report is None:
            return self.datagram_received
        return self._guard.shortcut((self.id, addr[0], addr[1]), report, self.datagram_received)

    def _check(self, guard: Guard, data: bytes, addr: tuple[str, int]) -> None:
        ours = self.receiver
        if guard.proves(
            data,
            (self.id, *addr),
            ours=ours.local_username,
            theirs=ours.remote_username,
            password=ours.local_password,
        ) and (message := _stun_message(guard, data)):
            ours.request_received(message, addr, self)

    def _response(self, guard: Guard, data: bytes, addr: tuple[str, int]) -> None:
        transaction = self.transactions.get(data[8:20])
        if transaction is None:
            guard.drops.unasked += 1
        elif message := _stun_message(guard, data):
            transaction.response_received(message, addr)


def _stun_message(guard: Guard, data: bytes) -> stun.Message | None:
    try:
        return stun.parse_message(data)
    except ValueError:
        guard.drops.malformed += 1
        return None


_parse_as_aioice_does: Final = stun.parse_message


def parse_stun(data: bytes) -> stun.Message:
    """Read a STUN message, also a TURN server's. Errors: ValueError, where aioice may raise struct.error as well."""
    try:
        return _parse_as_aioice_does(data)
    except struct.error as error:
        raise ValueError("an attribute of the wrong length") from error


setattr(ice, SOCKET, GuardedSocket)  # a connection makes its sockets by this name
setattr(stun, PARSE, parse_stun)  # and they and TURN's clients read by this one


def put_guard(transport: RTCDtlsTransport, guard: Guard) -> None:
    """Put a guard before the sockets that this transport is going to open, and bound what waits for DTLS."""
    connection = transport.transport._connection
    queue = connection._queue

    def data_received(data: bytes, component: int) -> None:
        if queue.qsize() < MAX_QUEUED:
            queue.put_nowait((data, component))
        else:
            guard.drops.overflow += 1

    def check_state(pair: CandidatePair, state: CandidatePair.State) -> None:
        Connection.check_state(connection, pair, state)
        if state is CandidatePair.State.SUCCEEDED:
            for data in guard.succeeded((pair.protocol.id, *pair.remote_addr)):
                connection.data_received(data, pair.component)

    def finish_checks() -> None:
        # aioice drops the checks under way once a pair is nominated, and never begins them again. Where the viewer has
        # sent a check of its own it may have chosen that pair, and will send its data there; where it has not yet, a
        # pair that has failed is checked again when its check comes.
        if transport.transport.state != "completed":
            return
        for pair in connection._check_list:
            if pair.state is CandidatePair.State.IN_PROGRESS:
                pair.task = None
                if guard.has_heard((pair.protocol.id, *pair.remote_addr)):
                    connection.check_start_task(pair)
                else:
                    connection.check_state(pair, CandidatePair.State.FAILED)

    setattr(connection, GUARD, guard)
    transport.transport.on("statechange", finish_checks)
    setattr(connection, DATA_RECEIVED, data_received)
    setattr(connection, CHECK_STATE, check_state)

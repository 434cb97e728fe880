"""The pair that media goes over, and its socket."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Final

from aioice.ice import CandidatePair
from aiortc import RTCDtlsTransport

from agent.webrtc.inbox import Inbox
from agent.webrtc.path import Address, Path
from agent.webrtc.seams.sockets import GuardedSocket

REMOVE_READER, ADD_READER, READ_READY = "_remove_reader", "_add_reader", "_read_ready"
TURN_CLIENT: Final = "_TurnTransport__inner_protocol"
_MOST_UNSENT: Final = 128 * 1024  # bytes that wait for a relay over TCP: half a second of 2 Mbit/s


def nominated(transport: RTCDtlsTransport) -> Mapping[int, CandidatePair]:
    """Give the pair that media goes over, under 1, as soon as there is one; ICE may come to another one later."""
    nominated: Mapping[int, CandidatePair] = transport.transport._connection._nominated
    return nominated


def relay(transport: asyncio.DatagramTransport) -> Callable[[bytes, Address], None]:
    """Give what sends through a relay; it raises BlockingIOError when the way to the relay does not keep up.

    aioice would let the packets pile up in memory.
    """
    way = getattr(transport, TURN_CLIENT).transport

    def sendto(data: bytes, address: Address) -> None:
        if way.get_write_buffer_size() > _MOST_UNSENT:
            raise BlockingIOError
        transport.sendto(data, address)

    return sendto


def path(pair: CandidatePair, inbox: Inbox) -> Path:
    """Open a path of ours over this pair, which `inbox` reads instead of asyncio for as long as it is open.

    A pair with a relay has no socket of its own; it stays asyncio's.
    """
    transport, loop = pair.protocol.transport, asyncio.get_running_loop()
    sock = transport.get_extra_info("socket")
    if sock is None:
        return Path(None, pair.remote_addr, relay(transport))

    def give_back() -> None:
        if not transport.is_closing():
            getattr(loop, ADD_READER)(sock.fileno(), getattr(transport, READ_READY))

    own = sock.dup()
    getattr(loop, REMOVE_READER)(sock.fileno())
    ours = pair.protocol
    inbox.join(own, ours.shortcut(pair.remote_addr) if isinstance(ours, GuardedSocket) else ours.datagram_received)
    return Path(own, pair.remote_addr, transport.sendto, inbox=inbox, on_close=give_back)

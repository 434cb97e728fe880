"""Which sockets and addresses aioice has to do with, and when ICE begins."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import Final

from aioice import Candidate, turn
from aioice.ice import Connection, StunProtocol
from aiortc import RTCDtlsTransport, RTCPeerConnection

GATHER: Final = "gather_candidates"
ADD_CANDIDATE: Final = "_add_remote_candidate"
CONNECT: Final = "_RTCPeerConnection__connect"
DELETE: Final = "delete"
_DELETE_S: Final = 1.0  # a server that does not answer holds up the end of a session for a minute otherwise

_delete_as_aioice_does: Final = turn.TurnClientMixin.delete


async def delete_allocation(client: turn.TurnClientMixin) -> None:
    """Give up an allocation, or leave it to its end (RFC 8656, section 6) where the server does not answer."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_DELETE_S):
            await _delete_as_aioice_does(client)


setattr(turn.TurnClientMixin, DELETE, delete_allocation)


def gather_by(transport: RTCDtlsTransport, gather: Callable[[Connection], Awaitable[None]]) -> Connection:
    """Let `gather` open the sockets. aioice's way takes every address there is, one server of a kind, and 5 s."""
    connection = transport.transport._connection

    async def gather_candidates() -> None:
        await gather(connection)
        connection._local_candidates_end = True  # connect() demands it; more may follow all the same

    setattr(connection, GATHER, gather_candidates)
    return connection


def probe_only(
    connection: Connection, may_probe: Callable[[str, int], bool], named: Callable[[str, int], None]
) -> None:
    """Probe these addresses alone, be they in a candidate or behind a name in it; `named` hears of each one."""
    added = connection._add_remote_candidate

    def add_remote_candidate(remote_candidate: Candidate, network_host: str) -> None:
        if may_probe(network_host, remote_candidate.port):
            named(network_host, remote_candidate.port)
            added(remote_candidate, network_host)

    setattr(connection, ADD_CANDIDATE, add_remote_candidate)


def use(connection: Connection, protocol: StunProtocol) -> None:
    """Take a socket of ours into use, also after the viewer's candidates came (RFC 8838, section 10)."""
    connection._protocols.append(protocol)
    pair(connection)


def pair(connection: Connection) -> None:
    """Form the pairs that are not there yet (RFC 8445, section 6.1.2.2)."""
    for remote in connection._remote_candidates:
        connection._pair_remote_candidate(remote)
    connection.sort_check_list()


def offer(connection: Connection, candidate: Candidate) -> None:
    """Count a candidate among those that the viewer is told of; what stands here before the answer stands in it."""
    connection._local_candidates.append(candidate)


async def connect(peer: RTCPeerConnection) -> None:
    """Begin ICE and then DTLS: aiortc does so itself, but only where the answer had a candidate."""
    await getattr(peer, CONNECT)()

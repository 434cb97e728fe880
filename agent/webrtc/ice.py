"""The addresses of one session: sockets of ours, and what STUN and TURN servers add to them.

A socket costs no round trip, so the answer names it; servers are asked after that, all at once, and what they say
follows as it comes. Nothing is opened that the mode does not offer: in `relay` there is no socket to check from.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import ssl
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Final

from aioice import Candidate, ice, stun, turn
from aioice.candidate import candidate_priority
from aiortc import RTCDtlsTransport

from agent.config import NetworkConfig
from agent.webrtc.addresses import Reach, is_public, may_probe, reach
from agent.webrtc.credential import credential
from agent.webrtc.interfaces import interfaces
from agent.webrtc.seams import gathering
from protocol.errors import Refused
from protocol.ice import Server, parse_server

_LOG: Final = logging.getLogger(__name__)
_ANSWER_S: Final = 4.0  # a server that has not answered by then does not count: a viewer is to be told within 5 s
_UNPAIRED: Final = 0  # of no component: nothing goes to viewers from a socket that is not yet seen as a public address
_COMPONENT: Final = 1  # RTP and RTCP together
_REFUSALS: Final = frozenset({401, 403, 441})  # RFC 8489, section 14.8; RFC 8656, section 19
_MOST_PREFERRED: Final = 65535  # RFC 8445, section 5.1.2.1
_UNRELATED: Final = (("0.0.0.0", 9), ("::", 9))  # noqa: S104  # in the related address's place (RFC 8839, section 5.1)


class Gathering:
    """Finds what one session may be reached at."""

    def __init__(self, network: NetworkConfig, transport: RTCDtlsTransport, named: Callable[[str, int], None]) -> None:
        """Put itself in the place of aioice's own gathering, which begins with the local description.

        `named` hears of each address of the viewer's that may be probed.
        """
        self._network = network
        self._servers = [parse_server(url) for url in (*network.stun, *network.turn)]
        self._connection = gathering.gather_by(transport, self._open)
        gathering.probe_only(self._connection, self.may_probe, named)
        self._reach = Reach()
        self._sockets: list[ice.StunProtocol] = []
        self._foundations: dict[tuple[str, ...], int] = {}
        self._refused = False

    @property
    def found(self) -> list[Candidate]:
        """What the viewer is told of, so far."""
        return self._connection.local_candidates

    @property
    def goes_on(self) -> bool:
        """Whether there is anybody to ask after the answer."""
        return bool(self._servers)

    def may_probe(self, host: str, port: int) -> bool:
        """Whether the session speaks to an address of its viewer at all."""
        mode = self._network.addresses
        return may_probe(host, port, mode) and (host.lower().endswith(".local") or self._reach.allows(host))

    async def ask(self, found: Callable[[str], None]) -> None:
        """Ask all servers; `found` gets each candidate-attribute (RFC 8839), and an empty one at the end.

        Errors: Refused, `relay-refused` or `no-candidate`, when there is nothing that the viewer may be told of.
        """

        def offer(candidate: Candidate) -> None:
            gathering.offer(self._connection, candidate)
            found(f"candidate:{candidate.to_sdp()}")

        await asyncio.gather(*(self._attempt(server, job) for server, job in self._jobs(offer)))
        if not self.found:
            if self._refused:
                raise Refused("relay-refused", "the TURN server refused our credential")
            raise Refused("no-candidate", f"no address may be offered (network.addresses = {self._network.addresses})")
        if self._servers:
            found("")

    async def _open(self, connection: ice.Connection) -> None:
        if self._network.addresses == "relay":
            return
        self._reach = reach(interfaces(), self._network.interfaces)
        for host in self._reach.own:
            try:
                self._sockets.append(await self._socket(connection, host))
            except OSError as error:
                _LOG.info("no socket on an address of ours: %s", error)
        for own in self._sockets:
            if self._network.addresses == "lan":
                gathering.offer(connection, own.local_candidate)
            else:
                own.local_candidate.component = _UNPAIRED
            gathering.use(connection, own)

    async def _socket(self, connection: ice.Connection, host: str) -> ice.StunProtocol:
        transport, own = await asyncio.get_running_loop().create_datagram_endpoint(
            lambda: ice.StunProtocol(connection), local_addr=(host, 0)
        )
        transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, turn.UDP_SOCKET_BUFFER_SIZE)
        own.local_candidate = self._candidate("host", transport.get_extra_info("sockname")[:2], host)
        return own

    def _jobs(self, offer: Callable[[Candidate], None]) -> list[tuple[Server, Callable[[], Awaitable[None]]]]:
        jobs: list[tuple[Server, Callable[[], Awaitable[None]]]] = []
        for number, server in enumerate(self._servers):
            if server.relays:
                jobs.append((server, partial(self._relay, server, _MOST_PREFERRED - number, offer)))
            elif self._network.addresses != "relay":
                jobs += [(server, partial(self._reflect, server, own, offer)) for own in self._sockets]
        return jobs

    async def _attempt(self, server: Server, job: Callable[[], Awaitable[None]]) -> None:
        try:
            async with asyncio.timeout(_ANSWER_S):
                await job()
        except (OSError, stun.TransactionError, KeyError, ValueError) as error:  # OSError: also a TLS or time error
            if isinstance(error, stun.TransactionFailed) and error.response.error_code in _REFUSALS:
                self._refused = True
            what = "TURN" if server.relays else "STUN"
            _LOG.warning("no candidate from %s server %s: %s", what, server.host, str(error) or type(error).__name__)

    async def _reflect(self, server: Server, own: ice.StunProtocol, offer: Callable[[Candidate], None]) -> None:
        base = own.local_candidate
        address = await _resolve(server, socket.AF_INET6 if ":" in base.host else socket.AF_INET)
        request = stun.Message(message_method=stun.Method.BINDING, message_class=stun.Class.REQUEST)
        response, _ = await own.request(request, address)
        seen = response.attributes["XOR-MAPPED-ADDRESS"]
        if self._network.addresses == "direct" and not is_public(seen[0]):
            raise ValueError("it sees a private address, which is not offered")
        base.component = _COMPONENT
        gathering.pair(self._connection)
        known = {(one.host, one.port) for one in self.found}
        if seen not in known:
            offer(self._candidate("srflx", seen, base.host, server.host))

    async def _relay(self, server: Server, preference: int, offer: Callable[[Candidate], None]) -> None:
        path = self._network.turn_credential
        assert path is not None  # noqa: S101  # the configuration has one wherever it has a TURN server
        login = credential(path)
        tls = await asyncio.to_thread(self._tls) if server.way == "tls" else None
        _, relayed = await turn.create_turn_endpoint(
            lambda: ice.StunProtocol(self._connection),
            server_addr=(server.host, server.port),
            username=login.username,
            password=login.password,
            ssl=tls,
            transport="udp" if server.way == "udp" else "tcp",
        )
        address = relayed.transport.get_extra_info("sockname")
        relayed.local_candidate = self._candidate("relay", address, server.host, server.way, preference=preference)
        gathering.use(self._connection, relayed)
        offer(relayed.local_candidate)

    def _candidate(self, kind: str, address: tuple[str, int], *of: str, preference: int = _MOST_PREFERRED) -> Candidate:
        # The same number for candidates that are likely to work alike (RFC 8445, section 5.1.1.3). aioice takes a hash
        # of the address beneath, which whoever tries all private addresses can undo.
        foundation = self._foundations.setdefault((kind, *of), len(self._foundations) + 1)
        related = _UNRELATED[":" in address[0]] if kind != "host" else (None, None)
        return Candidate(
            foundation=str(foundation),
            component=_COMPONENT,
            transport="udp",
            priority=candidate_priority(_COMPONENT, kind, preference),
            host=address[0],
            port=address[1],
            type=kind,
            related_address=related[0],
            related_port=related[1],
        )

    def _tls(self) -> ssl.SSLContext:
        return ssl.create_default_context(cafile=self._network.turn_ca)


async def _resolve(server: Server, family: socket.AddressFamily) -> tuple[str, int]:
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(server.host, server.port, family=family, type=socket.SOCK_DGRAM)
    host, port = found[0][4][:2]
    return str(host), int(port)

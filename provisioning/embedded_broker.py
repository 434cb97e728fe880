"""An MQTT broker within the process, for the fleet in a box: amqtt behind TLS client certificates.

amqtt by itself trusts the client id and sends wills unchecked; all that is done about it stands in this file, and
pyproject.toml pins the release that it was read against. It ships no types. Sessions end with their connection.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import ssl
from collections.abc import Awaitable, Callable
from typing import Any, Final, Self

import amqtt.broker
from amqtt.adapters import StreamReaderAdapter, StreamWriterAdapter
from amqtt.broker import Broker
from amqtt.contexts import Action, BrokerConfig, ListenerConfig, ListenerType
from amqtt.mqtt.protocol.broker_handler import BrokerProtocolHandler
from amqtt.session import Session
from cryptography import x509

from protocol import topics
from protocol.certificates import role_of
from protocol.errors import Untrusted
from protocol.names import Role
from protocol.topics import Access
from provisioning.broker import MAX_PACKET

_CLIENTS: Final = frozenset({Role.DEVICE, Role.SERVICE, Role.APP})
_CONNECT_S: Final = 10.0
_CLOSE_S: Final = 1.0
_MAX_WAITING: Final = 1024 * 1024  # bytes that a client has not taken yet; one that lets more pile up is cut off
_MAX_RECEIVED: Final = 1000  # messages of a client that wait for their turn; beyond that, those of QoS 0 are dropped
_LISTENER: Final = "default"
_MQTT_3_1_1: Final = 4
_WRONG_VERSION: Final = bytes([0x20, 2, 0, 1])  # CONNACK: unacceptable protocol version (MQTT 3.1.1, section 3.2.2.3)

Admit = Callable[[Role, str, x509.Certificate], Awaitable[bool]]
"""Decides whether a certificate that TLS has verified may still connect: revocation."""


class EmbeddedBroker:
    """A broker on `port`; `tls` must require a client certificate and trust none but devices, services and apps."""

    def __init__(self, *, address: str | None, port: int, tls: ssl.SSLContext, admit: Admit) -> None:
        if tls.verify_mode is not ssl.CERT_REQUIRED:
            raise ValueError("the broker's TLS context must require a client certificate")
        self._address, self._port, self._tls, self._admit = address, port, tls, admit
        self._connections: set[asyncio.Task[None]] = set()
        for name in ("amqtt", "transitions"):  # they log each packet, and each client that just went away as an error
            logging.getLogger(name).setLevel(logging.CRITICAL)

    async def __aenter__(self) -> Self:
        """Listen. Errors: OSError, also for a port in use."""
        listener = ListenerConfig(type=ListenerType.EXTERNAL, bind="external")
        self._broker = _Broker(BrokerConfig(listeners={_LISTENER: listener}, plugins={}))
        self._server = await asyncio.start_server(self._connected, self._address, self._port, ssl=self._tls)
        await self._broker.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        """End every connection, wills unsent, and stop listening."""
        self._server.close()
        for task in self._connections:
            task.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)
        await self._broker.shutdown()

    async def evict(self, name: str) -> None:
        """End a client's connection as if it had broken: its will is sent. Harmless for one that is not there."""
        await self._broker.end(name)

    async def reload(self) -> None:
        """Do nothing: rules come from the protocol's own table, and `Admit` asks the registry at each connection."""

    def clients(self) -> set[str]:
        """Name who is connected."""
        return set(self._broker.sessions)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None  # noqa: S101  # asyncio runs this callback as a task
        self._connections.add(task)
        try:
            who = await self._identify(writer)
            if who is not None:
                await self._serve(reader, writer, *who)
        except asyncio.CancelledError:
            pass  # only `__aexit__` cancels, and asyncio's stream would print a cancelled connection as a fault
        finally:
            writer.transport.abort()
            self._connections.discard(task)

    async def _identify(self, writer: asyncio.StreamWriter) -> tuple[Role, str] | None:
        leaf = x509.load_der_x509_certificate(writer.get_extra_info("ssl_object").getpeercert(binary_form=True))
        try:
            role, name = role_of(leaf)
        except Untrusted:
            return None
        return (role, name) if role in _CLIENTS and await self._admit(role, name, leaf) else None

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, role: Role, name: str) -> None:
        out = _Writer(writer, role, name)
        try:
            async with asyncio.timeout(_CONNECT_S):
                connect = await _read_connect(reader)
            if connect is None:
                writer.write(_WRONG_VERSION)
                await writer.drain()
                return
            await self._broker.external_connected(_Reader(reader, connect), out, _LISTENER)
        except Exception as error:  # noqa: BLE001  # amqtt lets a dozen kinds out for bad input, each the end of a client
            logging.getLogger(__name__).debug("a client of the broker ended: %r", error)
        finally:
            await self._broker.forget(out)


class _Reader(StreamReaderAdapter):  # type: ignore[misc]
    """Gives the CONNECT that was read ahead, then the stream, and no packet above MAX_PACKET."""

    def __init__(self, reader: asyncio.StreamReader, ahead: bytes) -> None:
        super().__init__(reader)
        self._ahead = ahead

    async def read(self, n: int = -1) -> bytes:
        if not 0 <= n <= MAX_PACKET:
            raise ConnectionResetError("a packet that is too long")
        if self._ahead:
            taken, self._ahead = self._ahead[:n], self._ahead[n:]
            return taken
        return bytes(await super().read(n))


class _Writer(StreamWriterAdapter):  # type: ignore[misc]
    """Never waits for its client, and knows whom the certificate names."""

    def __init__(self, writer: asyncio.StreamWriter, role: Role, name: str) -> None:
        super().__init__(writer)
        self.is_closed: bool = False
        self.role, self.name = role, name
        self.ended = asyncio.Event()

    async def drain(self) -> None:
        if self._writer.transport.get_write_buffer_size() > _MAX_WAITING:
            self._writer.transport.abort()
            raise ConnectionResetError("a client that takes too little")

    async def close(self) -> None:
        if not self.is_closed:
            self.is_closed = True
            self._writer.close()
            with contextlib.suppress(TimeoutError, OSError):
                async with asyncio.timeout(_CLOSE_S):
                    await self._writer.wait_closed()


class _Handler(BrokerProtocolHandler):  # type: ignore[misc]
    """Who a client is comes from its certificate, and what it left as its will is checked like any publication."""

    @classmethod
    async def init_from_connect(
        cls, reader: Any, writer: _Writer, plugins_manager: Any, loop: Any = None
    ) -> tuple[BrokerProtocolHandler, Session]:
        handler, session = await super().init_from_connect(reader, writer, plugins_manager, loop)
        if session.will_flag and not topics.allowed(writer.role, writer.name, Access.WRITE, session.will_topic):
            raise ConnectionResetError("a will on a topic of another")
        session.client_id = session.username = writer.name
        session.clean_session = True  # nothing is kept, or piles up, for whom is away
        session.keep_alive = session.keep_alive * 3 // 2  # MQTT 3.1.1, section 3.1.2.10
        session.delivered_message_queue = asyncio.Queue(_MAX_RECEIVED)
        session.attributes["camward.writer"] = writer
        return handler, session

    def handle_read_timeout(self) -> None:
        if self.reader is not None:
            self.reader.feed_eof()  # amqtt would go on waiting: a client that fell silent would never be offline


class _Broker(Broker):  # type: ignore[misc]
    """amqtt's broker with our rules in place of plugins; none of these overrides ever waits while amqtt iterates."""

    async def end(self, name: str) -> None:
        """End the connection under `name` and wait until its will is out."""
        session, handler = self._sessions.get(name, (None, None))
        if session is None or handler is None:
            return
        ended = session.attributes["camward.writer"].ended
        await handler.handle_connection_closed()
        await handler.stop()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(2 * _CLOSE_S):
                await ended.wait()

    async def forget(self, writer: _Writer) -> None:
        """Drop what is left of a connection, unless a newer one stands under its name."""
        session, _ = self._sessions.get(writer.name, (None, None))
        if session is not None and session.attributes["camward.writer"] is writer:
            await super()._delete_session(writer.name)
        writer.ended.set()

    async def _delete_session(self, client_id: str) -> None:
        # amqtt would leave the older connection open and forgotten: a ghost, whose will would come later.
        while client_id in self._sessions:
            await self.end(client_id)
            await super()._delete_session(client_id)

    async def _authenticate(self, session: Session, _: ListenerConfig) -> bool:
        return True  # TLS has, and `Admit`

    async def _topic_filtering(self, session: Session, topic: str, action: Action) -> bool:
        writer = session.attributes["camward.writer"]
        access = Access.WRITE if action is Action.PUBLISH else Access.READ
        return topics.allowed(writer.role, writer.name, access, topic)

    async def _publish_retained_messages_for_subscription(
        self, subscription: tuple[str, int], session: Session
    ) -> None:
        # At CONNECT, amqtt walks through everybody's subscriptions here.
        if any(subscriber is session for subscriber, _ in self._subscriptions.get(subscription[0], ())):
            await super()._publish_retained_messages_for_subscription(subscription, session)


amqtt.broker.BrokerProtocolHandler = _Handler  # the broker names its handler's class nowhere else


async def _read_connect(reader: asyncio.StreamReader) -> bytes | None:
    """Read the first packet whole; None for a CONNECT of another version than 3.1.1. Errors: ConnectionResetError."""
    head = bytearray(await reader.readexactly(2))
    while head[-1] & 0x80 and len(head) < 5:
        head += await reader.readexactly(1)
    length = sum((byte & 0x7F) << (7 * place) for place, byte in enumerate(head[1:]))
    if head[0] != 0x10 or not 10 <= length <= MAX_PACKET:
        raise ConnectionResetError("the first packet is no CONNECT")
    body = await reader.readexactly(length)
    if body[:6] != b"\x00\x04MQTT":
        raise ConnectionResetError("the first packet is no CONNECT")
    return bytes(head) + body if body[6] == _MQTT_3_1_1 else None

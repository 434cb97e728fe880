"""The MQTT client of a device: mTLS with the operational certificate, a will, and bounds both ways."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import aiomqtt
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from agent.config import BrokerConfig
from protocol import topics
from protocol.jws import MAX_MESSAGE

V5: Final = aiomqtt.ProtocolVersion.V5
TIMEOUT_S: Final = 10.0
QUEUED: Final = 256  # messages each way; what does not fit is dropped and counted: a caller asks again
_RECEIVE_BYTES: Final = 128 * 1024  # a flood that waits in the kernel's buffers holds up the broker's word to us
_OVERHEAD: Final = 1024  # a packet's header, topic and properties


class _Socket(ssl.SSLSocket):
    """A broker that takes the TCP connection and stalls TLS holds a thread for so long, and no longer."""

    def do_handshake(self, block: bool = False) -> None:
        before = self.gettimeout()
        self.settimeout(TIMEOUT_S)
        super().do_handshake(block)
        self.settimeout(before)


class Incoming(asyncio.Queue[aiomqtt.Message]):
    """Hands a message over where it arrives, from `open` on; until then so many wait, and more are dropped.

    aiomqtt's own way is a task a message, and what a flood leaves in the queue meanwhile pushes out what is wanted. Now
    the socket is read once a turn of the loop, and what we are too slow for waits at the broker.
    """

    def __init__(self, maxsize: int, take: Callable[[aiomqtt.Message], None], drop: Callable[[], None]) -> None:
        super().__init__(maxsize)
        self._take = take
        self._drop = drop
        self._is_open = False

    def open(self) -> None:
        """Hand over what waits, and from now on whatever comes."""
        self._is_open = True
        while not self.empty():
            self._take(self.get_nowait())

    def put_nowait(self, item: aiomqtt.Message) -> None:
        """Take what arrives."""
        if self._is_open:
            self._take(item)
        elif self.full():
            self._drop()
        else:
            super().put_nowait(item)


async def client_of(
    config: BrokerConfig,
    *,
    device: str,
    root: Path,
    credentials: Path,
    version: aiomqtt.ProtocolVersion,
    will: str,
    queue: Callable[[int], Incoming],
) -> aiomqtt.Client:
    """Make a client that shows `credentials`, and whose last will is the status `will`. Errors: OSError."""
    context = await asyncio.to_thread(_tls, root, credentials)
    options: dict[str, Any] = {"properties": _limits()} if version is V5 else {"clean_session": True}
    options["queue_type"] = queue
    client = aiomqtt.Client(
        config.host,
        config.port,
        identifier=device,
        protocol=version,
        will=aiomqtt.Will(topics.status(device), will, qos=1, retain=True),
        keepalive=config.keepalive_s,
        timeout=TIMEOUT_S,
        tls_context=context,
        socket_options=[(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVE_BYTES)],
        max_queued_incoming_messages=QUEUED,
        max_queued_outgoing_messages=QUEUED,
        **options,
    )
    # A connection that is lost while it is left is nobody's to hear of; asyncio would write an error of it.
    client._disconnected.add_done_callback(lambda lost: lost.cancelled() or lost.exception())
    return client


def unsupported(error: Exception) -> bool:
    """The broker has no MQTT 5: reason code 132, also as paho reads a 3.1.1 broker's refusal."""
    return isinstance(error, aiomqtt.MqttCodeError) and getattr(error.rc, "value", error.rc) == 132


def local_address(client: aiomqtt.Client) -> str | None:
    """Say which of our addresses the connection is made from."""
    connection = client._client.socket()  # aiomqtt has no word for it
    return str(connection.getsockname()[0]) if isinstance(connection, socket.socket) else None


def _tls(root: Path, credentials: Path) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=str(root))
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(credentials)
    context.sslsocket_class = _Socket
    return context


def _limits() -> Properties:
    """What a broker that has MQTT 5 keeps away from us (section 3.1.2.11.4): nobody's message fills the memory."""
    limits = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]  # paho has no types here
    limits.MaximumPacketSize = MAX_MESSAGE + _OVERHEAD
    return limits

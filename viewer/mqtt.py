"""The way of an app: MQTT over TLS with its own certificate, MQTT 5 first, 3.1.1 where the broker has no more."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import secrets
import ssl
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any, Final

import aiomqtt

from protocol import topics
from protocol.jws import MAX_MESSAGE
from viewer.errors import Fault, NotVerified
from viewer.fleet import tls
from viewer.options import AppOptions

_TIMEOUT_S: Final = 10.0
_AGAIN_S: Final = 2.0  # a broker that takes in an app's rights only now has dropped the status, and says nothing
_LEAVING: Final[set[asyncio.Task[None]]] = set()  # connections that nobody waits for any more
_QUEUED: Final = 64  # messages that wait here; one more is dropped, and a call that misses it ends in time


class _Socket(ssl.SSLSocket):
    """A broker that takes the TCP connection and stalls TLS holds a thread for so long, and no longer."""

    def do_handshake(self, block: bool = False) -> None:
        before = self.gettimeout()
        self.settimeout(_TIMEOUT_S)
        super().do_handshake(block)
        self.settimeout(before)


class App:
    """A Transport to one device."""

    def __init__(self, client: aiomqtt.Client, device: str) -> None:
        self._client = client
        self._device = device
        self._messages = aiter(client.messages)
        self._heard = False

    @classmethod
    @contextlib.asynccontextmanager
    async def connect(cls, options: AppOptions, root: Path, device: str) -> AsyncIterator[App]:
        """Connect as this app, and listen to the device. Errors: Fault, NotVerified, Usage."""
        context = tls(root, options.credentials)
        context.sslsocket_class = _Socket
        host, port = options.host, options.port
        try:
            client = await _connected(host, port, context)
        except aiomqtt.MqttError as error:
            if "CERTIFICATE_VERIFY_FAILED" in str(error):  # aiomqtt keeps no more than the text
                raise NotVerified("untrusted-fleet") from error
            raise Fault("unreachable", f"The broker {host}:{port} cannot be used: {error}.") from error
        try:
            app = cls(client, device)
            with _told_plainly():
                await client.subscribe(topics.reply(device, options.name), qos=1)
                await app._ask_for_status()
            yield app
        finally:
            with contextlib.suppress(aiomqtt.MqttError):
                await client.__aexit__(None, None, None)

    async def send(self, message: str) -> None:
        """Send to the device. Errors: Fault."""
        with _told_plainly():
            await self._client.publish(topics.call(self._device), message, qos=1)

    async def receive(self) -> bytes:
        """Wait for the next message of the device. Errors: Fault."""
        with _told_plainly():
            while True:
                try:
                    async with asyncio.timeout(None if self._heard else _AGAIN_S):
                        payload = (await anext(self._messages)).payload
                except TimeoutError:
                    await self._ask_for_status()
                    continue
                self._heard = True
                if isinstance(payload, bytes) and len(payload) <= MAX_MESSAGE:
                    return payload

    async def _ask_for_status(self) -> None:
        """Have the retained status sent; each subscription does that again (MQTT 5, section 3.8.4)."""
        await self._client.subscribe(topics.status(self._device), qos=1)


async def _connected(host: str, port: int, context: ssl.SSLContext) -> aiomqtt.Client:
    try:
        return await _entered(_client(host, port, context, aiomqtt.ProtocolVersion.V5))
    except aiomqtt.MqttError:  # brokers say in many ways that they have no MQTT 5
        return await _entered(_client(host, port, context, aiomqtt.ProtocolVersion.V311, clean_session=True))


async def _entered(client: aiomqtt.Client) -> aiomqtt.Client:
    """Connect. Whoever does not wait for that leaves no connection behind: a thread makes it, and nothing stops one."""
    entering = asyncio.get_running_loop().create_task(client.__aenter__(), name="connect-mqtt")
    try:
        return await asyncio.shield(entering)
    except asyncio.CancelledError:
        leaving = asyncio.get_running_loop().create_task(_left(entering), name="leave-mqtt")
        _LEAVING.add(leaving)
        leaving.add_done_callback(_LEAVING.discard)
        raise


async def _left(entering: asyncio.Task[aiomqtt.Client]) -> None:
    with contextlib.suppress(aiomqtt.MqttError):
        await (await entering).__aexit__(None, None, None)


def _client(
    host: str, port: int, context: ssl.SSLContext, version: aiomqtt.ProtocolVersion, **options: Any
) -> aiomqtt.Client:
    return aiomqtt.Client(
        host,
        port,
        identifier=f"view-{secrets.token_hex(8)}",  # an app may watch many cameras; a broker knows clients by their id
        protocol=version,
        tls_context=context,
        timeout=_TIMEOUT_S,
        max_queued_incoming_messages=_QUEUED,
        max_queued_outgoing_messages=_QUEUED,
        logger=logging.getLogger("aiomqtt"),
        **options,
    )


@contextlib.contextmanager
def _told_plainly() -> Iterator[None]:
    try:
        yield
    except aiomqtt.MqttError as error:
        raise Fault("broker-lost", f"The connection to the broker ended: {error}.") from error

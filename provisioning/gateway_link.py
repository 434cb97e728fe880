"""The gateway's MQTT connection: mTLS as the service `gateway`, for ever; MQTT 5, or 3.1.1 where there is no more."""

from __future__ import annotations

import asyncio
import logging
import random
import ssl
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Final

import aiomqtt
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from protocol import topics
from protocol.jws import MAX_MESSAGE
from provisioning.broker import GATEWAY
from provisioning.gateway import Gateway

_LOG: Final = logging.getLogger(__name__)
_V5: Final = aiomqtt.ProtocolVersion.V5
_UNSUPPORTED: Final = 132  # reason code: unsupported protocol version (MQTT 5, section 3.2.2.2)
_FIRST_RETRY_S: Final = 0.5
_LONGEST_RETRY_S: Final = 30.0
_TIMEOUT_S: Final = 10.0
_EXPIRY_S: Final = 30  # nobody waits longer for an answer
_QUEUED: Final = 1024  # messages each way; one more is dropped: a status comes again, and a caller asks again


class GatewayLink:
    """Connects a `Gateway` to the broker. `credentials` names the PEM (key and chain) to use at the next connection.

    `on_status` is awaited for each device whose status is new, `on_lost` is called when the connection has ended, and
    `say` gets a line at each change.
    """

    def __init__(
        self,
        *,
        host: str,
        port: int,
        root: Path,
        credentials: Callable[[], Path],
        on_status: Callable[[str], Awaitable[None]],
        on_lost: Callable[[], None],
        say: Callable[[str], None],
    ) -> None:
        self._host, self._port, self._root, self._credentials = host, port, root, credentials
        self._on_status, self._on_lost, self._say = on_status, on_lost, say
        self._client: aiomqtt.Client | None = None
        self._version = _V5

    async def publish(self, topic: str, message: str) -> None:
        """Send to a device. Errors: ConnectionError."""
        if self._client is None:
            raise ConnectionError("there is no connection to the broker")
        options: dict[str, Any] = {}
        if self._version is _V5:
            options["properties"] = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]
            options["properties"].MessageExpiryInterval = _EXPIRY_S
        try:
            await self._client.publish(topic, message, qos=1, **options)
        except aiomqtt.MqttError as error:
            raise ConnectionError(str(error)) from error

    async def run(self, gateway: Gateway) -> None:
        """Stay connected until cancelled."""
        retry_s, fault = _FIRST_RETRY_S, ""
        while True:
            try:
                async with await self._connection() as client:
                    for pattern in (topics.every_status(), topics.every_reply(GATEWAY)):
                        await client.subscribe(pattern, qos=1)
                    self._client, retry_s, fault = client, _FIRST_RETRY_S, ""
                    gateway.found()
                    self._say(f"the gateway is connected to the broker at {self._host}:{self._port}")
                    await self._read(client, gateway)
            except (aiomqtt.MqttError, OSError) as error:
                if isinstance(error, aiomqtt.MqttCodeError) and _code(error) == _UNSUPPORTED and self._version is _V5:
                    self._version = aiomqtt.ProtocolVersion.V311
                    continue
                if str(error) != fault:
                    fault = str(error)
                    self._say(f"the gateway has no connection to the broker at {self._host}:{self._port}: {fault}")
            finally:
                self._client = None
                gateway.lost()
                self._on_lost()
            await asyncio.sleep(retry_s * random.uniform(0.5, 1.5))  # noqa: S311  # spreads load, hides nothing
            retry_s = min(retry_s * 2, _LONGEST_RETRY_S)

    async def _connection(self) -> aiomqtt.Client:
        context = await asyncio.to_thread(self._tls)
        options: dict[str, Any] = {} if self._version is _V5 else {"clean_session": True}
        client = aiomqtt.Client(
            self._host,
            self._port,
            identifier=GATEWAY,
            protocol=self._version,
            tls_context=context,
            timeout=_TIMEOUT_S,
            keepalive=30,
            max_queued_incoming_messages=_QUEUED,
            max_queued_outgoing_messages=_QUEUED,
            logger=logging.getLogger("aiomqtt"),
            **options,
        )
        # A connection that is lost while it is left is nobody's to hear of; asyncio would write an error of it.
        client._disconnected.add_done_callback(lambda lost: lost.cancelled() or lost.exception())
        return client

    async def _read(self, client: aiomqtt.Client, gateway: Gateway) -> None:
        async for message in client.messages:
            if not isinstance(message.payload, bytes) or len(message.payload) > MAX_MESSAGE:
                continue
            device = gateway.received(str(message.topic), message.payload)
            if device is not None:
                await self._on_status(device)

    def _tls(self) -> ssl.SSLContext:
        context = ssl.create_default_context(cafile=str(self._root))
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.load_cert_chain(self._credentials())
        return context


def _code(error: aiomqtt.MqttCodeError) -> int | None:
    return error.rc if isinstance(error.rc, int) or error.rc is None else error.rc.value

"""The MQTT connection: presence, and a bounded way in and out.

It connects again for ever, with jittered backoff; MQTT 5 first, 3.1.1 where the broker has no more.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import aiomqtt

from agent.config import BrokerConfig
from agent.signaling.client import QUEUED, V5, Incoming, client_of, local_address, unsupported
from agent.tasks import end
from protocol import topics
from protocol.jws import MAX_MESSAGE

_LOG: Final = logging.getLogger(__name__)
_FIRST_RETRY_S: Final = 1.0
_LONGEST_RETRY_S: Final = 60.0
_FAREWELL_S: Final = 3.0
_UNCONFIRMED: Final = 8  # messages that go out before the broker has confirmed the first of them; the next ones queue


@dataclass(frozen=True, slots=True, kw_only=True)
class Presence:
    """What the link signs anew at each connection: the will, and the status that it is the end of."""

    online: Callable[[], str]
    offline: Callable[[], str]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Outgoing:
    topic: str
    message: Callable[[], str]  # made when it is sent, so that a status is never older than its place in the queue
    retain: bool = False


class Link:
    """One device's connection to its broker. `receive` gets each message of a caller or of the fleet."""

    def __init__(
        self,
        config: BrokerConfig,
        *,
        device: str,
        root: Path,
        presence: Presence,
        receive: Callable[[bytes], None],
        on_state: Callable[[bool], None],
    ) -> None:
        self._config = config
        self._device = device
        self._root = root
        self._presence = presence
        self._receive = receive
        self._on_state = on_state
        self._out: asyncio.Queue[_Outgoing] = asyncio.Queue(QUEUED)
        self._version = V5
        self._restart, self._soon = asyncio.Event(), asyncio.Event()
        self.local_address: str | None = None  # of the connection that stands
        self._left = False
        self.connected = False
        self.dropped = 0

    async def run(self, credentials: Callable[[], Path]) -> None:
        """Stay connected until cancelled; then say goodbye. `credentials` names the PEM (key and chain) to use now."""
        retry_s = _FIRST_RETRY_S
        fault = ""
        while True:
            self._restart.clear()
            self._soon.clear()
            try:
                async with await self._client(credentials()) as client:
                    retry_s, fault = _FIRST_RETRY_S, ""
                    await self._serve(client)
            except (aiomqtt.MqttError, OSError) as error:
                if self._version is V5 and unsupported(error):
                    self._version = aiomqtt.ProtocolVersion.V311
                    continue
                if str(error) != fault:
                    fault = str(error)
                    _LOG.warning("broker %s:%d: %s; trying again", self._config.host, self._config.port, fault)
                try:
                    async with asyncio.timeout(retry_s * random.uniform(0.5, 1.5)):  # noqa: S311  # spreads a fleet
                        await self._soon.wait()
                except TimeoutError:
                    retry_s = min(retry_s * 2, _LONGEST_RETRY_S)

    def reconnect(self) -> None:
        """Connect anew, with whatever credentials are current then, and at once where a try would wait."""
        self._restart.set()
        self._soon.set()

    def network_changed(self, gone: frozenset[str]) -> None:
        """Connect anew if our end's address is gone, or it would hang until its keepalive; else try at once."""
        if self.local_address in gone:
            self.reconnect()
        elif not self.connected:
            self._soon.set()

    def reply(self, caller: str, message: str) -> None:
        """Send one caller a signed message. Dropped, and counted, when the queue is full or nobody is connected."""
        self._send(_Outgoing(topic=topics.reply(self._device, caller), message=lambda: message))

    def report(self, message: Callable[[], str]) -> None:
        """Publish figures; nobody waits for them, and the next ones come soon."""
        self._send(_Outgoing(topic=topics.telemetry(self._device), message=message))

    def announce(self) -> None:
        """Publish the status anew, retained; a connection that is still to come does so by itself."""
        if not self._left:
            self._send(self._status(self._presence.online))

    def leave(self) -> None:
        """Publish the offline status, retained, and no other after it: what comes next is the end."""
        self._left = True
        self._send(self._status(self._presence.offline))

    def _status(self, message: Callable[[], str]) -> _Outgoing:
        return _Outgoing(topic=topics.status(self._device), message=message, retain=True)

    def _send(self, outgoing: _Outgoing) -> None:
        if not self.connected or self._out.full():
            self._drop()
        else:
            self._out.put_nowait(outgoing)

    def _drop(self) -> None:
        self.dropped += 1

    async def _client(self, credentials: Path) -> aiomqtt.Client:
        return await client_of(
            self._config,
            device=self._device,
            root=self._root,
            credentials=credentials,
            version=self._version,
            will=self._presence.offline(),
            queue=self._queue,
        )

    async def _serve(self, client: aiomqtt.Client) -> None:
        for topic in (topics.call(self._device), topics.control(self._device)):
            await client.subscribe(topic, qos=1)
        await self._publish(client, self._status(self._presence.online))
        if self._restart.is_set():
            return  # asked for on the way here: this connection shows the credentials of before, and proves no others
        self.local_address = local_address(client)
        self._set_connected(True)
        _LOG.info(
            "connected to broker %s:%d, MQTT %s",
            self._config.host,
            self._config.port,
            "5" if self._version is V5 else "3.1.1",
        )
        tasks = [
            asyncio.create_task(self._read(client), name="mqtt-read"),
            asyncio.create_task(self._restart.wait(), name="mqtt-restart"),
            *(asyncio.create_task(self._write(client), name=f"mqtt-write-{n}") for n in range(_UNCONFIRMED)),
        ]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        except asyncio.CancelledError:
            with contextlib.suppress(TimeoutError):
                await self._farewell()
            raise
        finally:
            self.local_address = None
            self._set_connected(False)
            await end(*tasks)

    def _queue(self, maxsize: int) -> Incoming:
        self._incoming = Incoming(maxsize, self._take, self._drop)
        return self._incoming

    def _take(self, message: aiomqtt.Message) -> None:
        if isinstance(message.payload, bytes) and len(message.payload) <= MAX_MESSAGE:
            self._receive(message.payload)
        else:
            self._drop()

    async def _read(self, client: aiomqtt.Client) -> None:
        self._incoming.open()
        async for _ in client.messages:  # none comes this way: it ends with the connection, in an MqttError
            pass

    async def _write(self, client: aiomqtt.Client) -> None:
        """Send one after the other; several run, so that one whose confirmation does not come holds up no other.

        Order is kept: between being taken from the queue and being handed to the socket, nothing is awaited. A message
        that is not confirmed in TIMEOUT_S ends the connection.
        """
        while True:
            outgoing = await self._out.get()
            try:
                await self._publish(client, outgoing)
            finally:
                self._out.task_done()

    async def _farewell(self) -> None:
        """What was said before the end still goes out, the byes first, then the offline status."""
        async with asyncio.timeout(_FAREWELL_S):
            await self._out.put(self._status(self._presence.offline))
            await self._out.join()

    async def _publish(self, client: aiomqtt.Client, outgoing: _Outgoing) -> None:
        await client.publish(outgoing.topic, outgoing.message(), qos=1, retain=outgoing.retain)

    def _set_connected(self, connected: bool) -> None:
        if connected != self.connected:
            self.connected = connected
            self._on_state(connected)

"""A broker under an attacker: whatever passes between devices and callers it reads, and changes as it likes.

Two real mosquittos with good certificates and no rules, one that the devices see and one that the callers see. All
that passes between them goes through `tamper`, and `inject` puts in what nobody sent.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime

import aiomqtt

from agent.tasks import end
from protocol.names import Issuer, Role
from provisioning.store import Fleet
from tests.kit.brokers import RunningBroker, free_port, started

Tamper = Callable[[str, bytes], list[tuple[str, bytes]]]
"""Gets topic and payload, gives what is to arrive instead: nothing, the same, something else, or more."""


def faithful(topic: str, payload: bytes) -> list[tuple[str, bytes]]:
    """Pass a message on as it is."""
    return [(topic, payload)]


@dataclass
class HostileBroker:
    """Both sides of it. `heard` holds all that was sent, as the attacker recorded it."""

    devices: RunningBroker
    callers: RunningBroker
    heard: list[tuple[str, bytes]]
    tamper: Tamper = faithful
    _to_devices: aiomqtt.Client | None = None
    _to_callers: aiomqtt.Client | None = None

    async def inject(self, topic: str, payload: bytes) -> None:
        """Send a message that nobody sent, to whichever side its topic belongs."""
        client = self._to_devices if topic.endswith("/call") else self._to_callers
        assert client is not None
        await client.publish(topic, payload, qos=1, retain=topic.endswith("/status"))

    async def _pass_on(self, source: aiomqtt.Client) -> None:
        async for message in source.messages:
            assert isinstance(message.payload, bytes)
            self.heard.append((str(message.topic), message.payload))
            for topic, payload in self.tamper(str(message.topic), message.payload):
                await self.inject(topic, payload)


@contextlib.asynccontextmanager
async def hostile_broker(fleet: Fleet) -> AsyncIterator[HostileBroker]:
    """Run the attacker's broker; devices are to use `devices.fleet.ports.broker`, callers `callers.fleet...`."""
    async with _lawless(fleet, "devices") as devices, _lawless(fleet, "callers") as callers:
        hostile = HostileBroker(devices, callers, heard=[])
        async with (
            devices.client(Role.SERVICE, "attacker", identifier="attacker") as below,
            callers.client(Role.SERVICE, "attacker", identifier="attacker") as above,
        ):
            hostile._to_devices, hostile._to_callers = below, above
            await below.subscribe("camward/1/+/status", qos=1)
            await below.subscribe("camward/1/+/reply/+", qos=1)
            await above.subscribe("camward/1/+/call", qos=1)
            tasks = [asyncio.create_task(hostile._pass_on(client)) for client in (below, above)]
            try:
                yield hostile
            finally:
                await end(*tasks)


@contextlib.asynccontextmanager
async def _lawless(fleet: Fleet, side: str) -> AsyncIterator[RunningBroker]:
    """A mosquitto with the fleet's own server certificate, which lets every certificate do anything."""
    fleet = replace(fleet, ports=replace(fleet.ports, broker=free_port()))
    directory = (fleet.directory / f"hostile-{side}").absolute()
    directory.mkdir()
    server = fleet.ensure_server(datetime.now(UTC)).path.absolute()
    anchors = directory / "clients.pem"
    anchors.write_text(fleet.anchors_pem(Issuer.DEVICE, Issuer.CLIENT))
    configuration = directory / "mosquitto.conf"
    configuration.write_text(_CONFIGURATION.format(port=fleet.ports.broker, anchors=anchors, server=server))
    async with started(configuration, fleet) as broker:
        yield broker


_CONFIGURATION = """\
allow_anonymous true
persistence false
log_dest stderr
user root
listener {port} 127.0.0.1
cafile {anchors}
certfile {server}
keyfile {server}
require_certificate true
"""


def last(heard: list[tuple[str, bytes]], ending: str) -> bytes:
    """The newest payload that the attacker recorded on a topic with this ending."""
    return next(payload for topic, payload in reversed(heard) if topic.endswith(ending))

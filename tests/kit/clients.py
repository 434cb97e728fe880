"""A camera, an app and the gateway at a broker, for the tests of what brokers deliver."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import aiomqtt

from protocol import topics
from protocol.names import Role, device_id
from provisioning.files import read_leaf
from tests.kit import brokers
from tests.kit.brokers import RunningBroker, next_message

ME, OTHER = device_id(b"m" * 16), device_id(b"o" * 16)
KINDS = ["mosquitto", "embedded"]


@contextlib.asynccontextmanager
async def running(
    kind: str, directory: Path, withdrawn: Sequence[tuple[Role, str]] = ()
) -> AsyncIterator[RunningBroker]:
    """One of KINDS with a new fleet; `withdrawn` are certificates that are revoked."""
    fleet = brokers.make_fleet(directory / "fleet")
    leaves = [RunningBroker(fleet=fleet, protocol=aiomqtt.ProtocolVersion.V5).leaf(*who) for who in withdrawn]
    serials = [read_leaf(path).chain[0].serial_number for path in leaves]
    started = (
        brokers.mosquitto(fleet, ["recorder"], serials) if kind == "mosquitto" else brokers.embedded(fleet, serials)
    )
    async with started as broker:
        yield broker


def device(broker: RunningBroker, name: str = ME, **more: object) -> aiomqtt.Client:
    """A camera."""
    return broker.client(Role.DEVICE, name, **more)


def gateway(broker: RunningBroker) -> aiomqtt.Client:
    """The fleet's gateway."""
    return broker.client(Role.SERVICE, "gateway")


def app(broker: RunningBroker) -> aiomqtt.Client:
    """An application that was granted."""
    return broker.client(Role.APP, "recorder")


async def listen_to_all(client: aiomqtt.Client, name: str) -> None:
    """Subscribe to all that a service or an app may hear."""
    for pattern in (topics.every_status(), topics.every_reply(name), "camward/1/+/event/+"):
        await client.subscribe(pattern, qos=1)


async def nothing_but_a_marker(broker: RunningBroker, client: aiomqtt.Client) -> None:
    """The next message that `client` gets is one that a third device sends now: nothing came before it."""
    marker = device_id(b"k" * 16)
    async with device(broker, marker) as camera:
        await camera.publish(topics.status(marker), b"marker", qos=1)
    assert await next_message(client) == (topics.status(marker), b"marker")


async def publish_quietly(client: aiomqtt.Client, topic: str, payload: bytes) -> None:
    """Publish, retained; a broker may refuse it aloud or in silence."""
    with contextlib.suppress(aiomqtt.MqttError):
        await client.publish(topic, payload, qos=1, retain=True)


async def subscribe_quietly(client: aiomqtt.Client, pattern: str) -> None:
    """Subscribe; a broker may refuse it aloud or in silence."""
    with contextlib.suppress(aiomqtt.MqttError):
        await client.subscribe(pattern, qos=1)


def break_connection(client: aiomqtt.Client) -> None:
    """Close the socket under a client, as a loss of power does."""
    connection = client._client.socket()
    assert connection is not None
    asyncio.get_running_loop().remove_reader(connection.fileno())
    connection.close()

"""Who gets into a broker, under which name, and what ends a connection: the same for both brokers."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from pathlib import Path

import aiomqtt
import pytest

from protocol import topics
from protocol.names import Role
from tests.kit.brokers import RunningBroker, next_message
from tests.kit.clients import (
    KINDS,
    ME,
    OTHER,
    app,
    device,
    gateway,
    listen_to_all,
    nothing_but_a_marker,
    running,
    subscribe_quietly,
)

pytestmark = pytest.mark.broker


async def test_another_client_id_is_not_another_name(broker: RunningBroker) -> None:
    async with device(broker, OTHER, identifier=OTHER) as victim, gateway(broker) as service:
        await victim.subscribe(topics.call(OTHER), qos=1)
        async with device(broker, identifier=OTHER) as camera:
            await subscribe_quietly(camera, topics.call(OTHER))
            await camera.subscribe(topics.call(ME), qos=1)
            await service.publish(topics.call(OTHER), b"still here", qos=1)
            await service.publish(topics.call(ME), b"marker", qos=1)
            assert await next_message(victim) == (topics.call(OTHER), b"still here")
            assert await next_message(camera) == (topics.call(ME), b"marker")


async def test_a_second_connection_of_a_name_ends_the_first_and_stays_online(broker: RunningBroker) -> None:
    async with gateway(broker) as service:
        await service.subscribe(topics.every_status(), qos=1)
        will = aiomqtt.Will(topics.status(ME), b"gone", qos=1, retain=True)
        first = device(broker, will=will)
        await first.__aenter__()
        async with device(broker, will=will) as second:
            await second.publish(topics.status(ME), b"online", qos=1, retain=True)
            with pytest.raises(aiomqtt.MqttError):
                await next_message(first)
            assert [(await next_message(service))[1], (await next_message(service))[1]] == [b"gone", b"online"]
            async with app(broker) as later:
                await later.subscribe(topics.every_status(), qos=1)
                assert await next_message(later) == (topics.status(ME), b"online")


@pytest.mark.parametrize(
    ("role", "name", "welcome"),
    [
        (Role.DEVICE, ME, True),
        (Role.APP, "recorder", True),
        (Role.SERVICE, "gateway", True),
        (Role.BIRTH, ME, False),
        (Role.AUTHORISER, "fleet", False),
        (Role.SERVER, "fleet", False),
    ],
)
async def test_the_kind_of_a_certificate_decides_who_connects(
    broker: RunningBroker, role: Role, name: str, welcome: bool
) -> None:
    assert await broker.lets_in(broker.tls(role, name)) is welcome


async def test_nobody_connects_without_a_certificate(broker: RunningBroker) -> None:
    assert not await broker.lets_in(ssl.create_default_context(cafile=broker.fleet.directory / "root.pem"))


@pytest.mark.parametrize("kind", KINDS)
async def test_a_revoked_device_does_not_connect_and_the_others_do(kind: str, tmp_path: Path) -> None:
    async with running(kind, tmp_path, [(Role.DEVICE, ME)]) as broker:
        assert not await broker.lets_in(broker.tls(Role.DEVICE, ME))
        assert await broker.lets_in(broker.tls(Role.DEVICE, OTHER))
        assert await broker.lets_in(broker.tls(Role.SERVICE, "gateway"))


async def test_a_message_that_is_too_long_ends_its_sender_and_nobody_else(broker: RunningBroker) -> None:
    async with gateway(broker) as service:
        await listen_to_all(service, "gateway")
        async with device(broker) as camera:
            with contextlib.suppress(aiomqtt.MqttError):
                await camera.publish(topics.status(ME), b"x" * 200_000, qos=1, timeout=0.5)
        await nothing_but_a_marker(broker, service)


async def test_garbage_ends_its_connection_and_nobody_else(broker: RunningBroker) -> None:
    async with gateway(broker) as service:
        await listen_to_all(service, "gateway")
        for garbage in (b"GET / HTTP/1.0\r\n\r\n", b"\x10\xff\xff\xff\xff\x7f", b"\x10\x02\x00\x00", b"\xf0\x00"):
            reader, writer = await asyncio.open_connection(
                "localhost", broker.fleet.ports.broker, ssl=broker.tls(Role.DEVICE, ME)
            )
            writer.write(garbage)
            async with asyncio.timeout(20):
                with contextlib.suppress(ConnectionError):
                    assert await reader.read() == b""
            writer.transport.abort()
        await nothing_but_a_marker(broker, service)

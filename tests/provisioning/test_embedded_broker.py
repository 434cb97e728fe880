"""What only the broker in the process does; tests/provisioning/test_brokers.py has what every broker must."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import aiomqtt
import pytest
from cryptography import x509

from protocol import topics
from protocol.names import Role, device_id
from provisioning.embedded_broker import EmbeddedBroker
from provisioning.tls import broker_context, server_context
from tests.kit import brokers
from tests.kit.brokers import RunningBroker, next_message

ME = device_id(b"m" * 16)
WILL = aiomqtt.Will(topics.status(ME), b"gone", qos=1, retain=True)

pytestmark = pytest.mark.broker


async def admit_all(_role: Role, _name: str, _leaf: x509.Certificate) -> bool:
    return True


@pytest.fixture
async def broker(tmp_path: Path) -> AsyncIterator[RunningBroker]:
    async with brokers.embedded(brokers.make_fleet(tmp_path / "fleet")) as broker:
        yield broker


async def test_an_evicted_client_is_cut_off_and_its_will_is_sent(broker: RunningBroker) -> None:
    assert broker.embedded is not None
    async with broker.client(Role.SERVICE, "gateway") as service:
        await service.subscribe(topics.every_status(), qos=1)
        camera = broker.client(Role.DEVICE, ME, will=WILL)
        await camera.__aenter__()
        await broker.embedded.evict(ME)
        assert await next_message(service) == (topics.status(ME), b"gone")
        with pytest.raises(aiomqtt.MqttError):
            await next_message(camera)


async def test_evicting_somebody_who_is_not_there_is_harmless(broker: RunningBroker) -> None:
    assert broker.embedded is not None
    await broker.embedded.evict(ME)


async def test_a_client_that_falls_silent_is_offline_after_its_keep_alive(broker: RunningBroker) -> None:
    async with broker.client(Role.SERVICE, "gateway") as service:
        await service.subscribe(topics.every_status(), qos=1)
        topic = topics.status(ME).encode()
        variable = b"\x00\x04MQTT\x04\x26\x00\x01"  # a retained will, keep alive 1 s
        payload = b"\x00\x01x" + len(topic).to_bytes(2, "big") + topic + b"\x00\x04gone"
        _reader, writer = await asyncio.open_connection(
            "localhost", broker.fleet.ports.broker, ssl=broker.tls(Role.DEVICE, ME)
        )
        writer.write(bytes([0x10, len(variable) + len(payload)]) + variable + payload)
        assert await next_message(service) == (topics.status(ME), b"gone")
        writer.transport.abort()


async def test_mqtt_5_is_refused_at_once_so_that_a_client_falls_back(broker: RunningBroker) -> None:
    client = aiomqtt.Client(
        "localhost",
        broker.fleet.ports.broker,
        tls_context=broker.tls(Role.DEVICE, ME),
        protocol=aiomqtt.ProtocolVersion.V5,
    )
    async with asyncio.timeout(8):
        with pytest.raises(aiomqtt.MqttCodeError) as refused:
            await client.__aenter__()
    assert "Unsupported protocol version" in str(refused.value)


async def test_a_subscriber_that_takes_nothing_is_cut_off_and_the_others_are_served(broker: RunningBroker) -> None:
    connect = b"\x10\x0d\x00\x04MQTT\x04\x02\x00\x00\x00\x01x"
    pattern = topics.every_status().encode()
    subscribe = b"\x00\x01" + len(pattern).to_bytes(2, "big") + pattern + b"\x00"
    reader, writer = await asyncio.open_connection(
        "localhost", broker.fleet.ports.broker, ssl=broker.tls(Role.APP, "slow"), limit=1024
    )
    writer.write(connect + bytes([0x82, len(subscribe)]) + subscribe)
    assert await reader.readexactly(9) == b"\x20\x02\x00\x00\x90\x03\x00\x01\x00"
    async with broker.client(Role.SERVICE, "gateway") as service, broker.client(Role.DEVICE, ME) as camera:
        await service.subscribe(topics.every_status(), qos=1)
        assert broker.embedded is not None
        for _ in range(400):
            await camera.publish(topics.status(ME), b"x" * 60_000, qos=1)
            assert (await next_message(service))[0] == topics.status(ME)
            if "slow" not in broker.embedded.clients():
                break
        else:
            raise AssertionError("the slow subscriber is still connected")
    writer.transport.abort()


async def test_closing_ends_every_connection_and_frees_the_port(tmp_path: Path) -> None:
    fleet = brokers.make_fleet(tmp_path / "fleet")
    for _ in range(2):
        async with brokers.embedded(fleet) as broker:
            camera = broker.client(Role.DEVICE, ME)
            await camera.__aenter__()
        with pytest.raises(aiomqtt.MqttError):
            await next_message(camera)


async def test_a_port_in_use_is_an_os_error(broker: RunningBroker) -> None:
    context = broker_context(broker.fleet, datetime.now(UTC))
    with pytest.raises(OSError, match="in use"):
        async with EmbeddedBroker(address="127.0.0.1", port=broker.fleet.ports.broker, tls=context, admit=admit_all):
            pass


def test_a_tls_context_that_takes_anybody_is_refused(tmp_path: Path) -> None:
    fleet = brokers.make_fleet(tmp_path / "fleet")
    optional = server_context(fleet, datetime.now(UTC))
    with pytest.raises(ValueError, match="must require"):
        EmbeddedBroker(address="127.0.0.1", port=1, tls=optional, admit=admit_all)

"""What both brokers must do. What is forbidden is asserted by delivery: a SUBACK may say Granted to anything."""

from __future__ import annotations

import contextlib
from pathlib import Path

import aiomqtt
import pytest

from protocol import topics
from protocol.names import Role
from tests.kit.brokers import RunningBroker, next_message
from tests.kit.clients import (
    ME,
    OTHER,
    app,
    break_connection,
    device,
    gateway,
    listen_to_all,
    nothing_but_a_marker,
    publish_quietly,
    running,
    subscribe_quietly,
)

pytestmark = pytest.mark.broker


async def test_a_call_and_its_reply_go_both_ways(broker: RunningBroker) -> None:
    async with gateway(broker) as service, device(broker) as camera:
        await service.subscribe(topics.every_reply("gateway"), qos=1)
        await camera.subscribe(topics.call(ME), qos=1)
        await service.publish(topics.call(ME), b"offer", qos=1)
        assert await next_message(camera) == (topics.call(ME), b"offer")
        await camera.publish(topics.reply(ME, "gateway"), b"answer", qos=1)
        assert await next_message(service) == (topics.reply(ME, "gateway"), b"answer")


async def test_an_app_calls_and_gets_its_own_replies(broker: RunningBroker) -> None:
    async with app(broker) as recorder, device(broker) as camera:
        await recorder.subscribe(topics.every_reply("recorder"), qos=1)
        await camera.subscribe(topics.call(ME), qos=1)
        await recorder.publish(topics.call(ME), b"offer", qos=1)
        assert await next_message(camera) == (topics.call(ME), b"offer")
        await camera.publish(topics.reply(ME, "recorder"), b"answer", qos=1)
        assert await next_message(recorder) == (topics.reply(ME, "recorder"), b"answer")


async def test_the_status_is_kept_for_who_comes_later(broker: RunningBroker) -> None:
    async with device(broker) as camera:
        await camera.publish(topics.status(ME), b"online", qos=1, retain=True)
        async with gateway(broker) as service:
            await service.subscribe(topics.every_status(), qos=1)
            assert await next_message(service) == (topics.status(ME), b"online")


async def test_an_emptied_status_is_kept_no_longer(broker: RunningBroker) -> None:
    async with device(broker) as camera, device(broker, OTHER) as other, gateway(broker) as service:
        await camera.publish(topics.status(ME), b"online", qos=1, retain=True)
        await camera.publish(topics.status(ME), b"", qos=1, retain=True)
        await other.publish(topics.status(OTHER), b"online", qos=1, retain=True)
        await service.subscribe(topics.every_status(), qos=1)
        assert await next_message(service) == (topics.status(OTHER), b"online")


async def test_a_connection_that_breaks_leaves_its_will(broker: RunningBroker) -> None:
    async with gateway(broker) as service:
        await service.subscribe(topics.every_status(), qos=1)
        will = aiomqtt.Will(topics.status(ME), b"gone", qos=1, retain=True)
        camera = device(broker, will=will)
        await camera.__aenter__()
        break_connection(camera)
        assert await next_message(service) == (topics.status(ME), b"gone")
        async with app(broker) as later:
            await later.subscribe(topics.every_status(), qos=1)
            assert await next_message(later) == (topics.status(ME), b"gone")


async def test_a_clean_goodbye_leaves_no_will(broker: RunningBroker) -> None:
    async with gateway(broker) as service:
        await service.subscribe(topics.every_status(), qos=1)
        will = aiomqtt.Will(topics.status(ME), b"gone", qos=1, retain=True)
        async with device(broker, will=will):
            pass
        await nothing_but_a_marker(broker, service)


@pytest.mark.parametrize(
    "topic",
    [
        topics.status(OTHER),
        topics.reply(OTHER, "gateway"),
        topics.call(OTHER),
        topics.call(ME),
        f"camward/1/{OTHER}/event/motion",
        f"camward/1/{OTHER}/telemetry",
        f"camward/1/{ME}/config",
        f"camward/1/{ME}/control",
        f"camward/1/{ME}/status/more",
        "somewhere/else",
    ],
)
async def test_a_device_writes_under_no_other_name(broker: RunningBroker, topic: str) -> None:
    async with gateway(broker) as service, app(broker) as recorder, device(broker, OTHER) as victim:
        await listen_to_all(service, "gateway")
        await listen_to_all(recorder, "recorder")
        for name in ("call", "config", "control"):
            await victim.subscribe(f"camward/1/{OTHER}/{name}", qos=1)
        async with device(broker) as camera:
            await camera.subscribe(f"camward/1/{ME}/call", qos=1)
            await publish_quietly(camera, topic, b"forged")
        await nothing_but_a_marker(broker, service)
        await nothing_but_a_marker(broker, recorder)
        await service.publish(topics.call(OTHER), b"marker", qos=1)
        assert await next_message(victim) == (topics.call(OTHER), b"marker")


@pytest.mark.parametrize("topic", [topics.status(OTHER), topics.reply(OTHER, "gateway")])
async def test_a_device_leaves_no_will_under_another_name(broker: RunningBroker, topic: str) -> None:
    async with gateway(broker) as service:
        await listen_to_all(service, "gateway")
        camera = device(broker, timeout=1, will=aiomqtt.Will(topic, b"forged", qos=1, retain=True))
        with contextlib.suppress(aiomqtt.MqttError):  # one broker refuses the connection, the other only the will
            await camera.__aenter__()
            break_connection(camera)
        await nothing_but_a_marker(broker, service)


@pytest.mark.parametrize(
    "pattern",
    [
        "#",
        "camward/#",
        "+/+/+/status",
        "camward/1/+/call",
        f"camward/1/{OTHER}/call",
        f"camward/1/{OTHER}/#",
        f"camward/1/{OTHER}/config",
        f"$share/group/camward/1/{OTHER}/call",
        "camward/1/+/reply/+",
        topics.status(OTHER),
    ],
)
async def test_a_device_reads_under_no_other_name(broker: RunningBroker, pattern: str) -> None:
    async with gateway(broker) as service, device(broker, OTHER) as other, device(broker) as camera:
        await other.publish(topics.status(OTHER), b"online", qos=1, retain=True)
        await subscribe_quietly(camera, pattern)
        await camera.subscribe(topics.call(ME), qos=1)
        await service.publish(topics.call(OTHER), b"secret", qos=1)
        await service.publish(f"camward/1/{OTHER}/config", b"secret", qos=1)
        await other.publish(topics.reply(OTHER, "gateway"), b"secret", qos=1)
        await other.publish(topics.status(OTHER), b"online", qos=1, retain=True)
        await service.publish(topics.call(ME), b"marker", qos=1)
        assert await next_message(camera) == (topics.call(ME), b"marker")


async def test_a_device_that_only_connects_gets_nothing_that_others_subscribed_to(broker: RunningBroker) -> None:
    async with gateway(broker) as service, device(broker, OTHER) as other:
        await service.subscribe(topics.every_status(), qos=1)
        await other.publish(topics.status(OTHER), b"online", qos=1, retain=True)
        async with device(broker) as camera:
            await camera.subscribe(topics.call(ME), qos=1)
            await service.publish(topics.call(ME), b"marker", qos=1)
            assert await next_message(camera) == (topics.call(ME), b"marker")


async def test_an_app_reads_no_call_and_no_reply_to_another(broker: RunningBroker) -> None:
    async with app(broker) as recorder, gateway(broker) as service, device(broker) as camera:
        for pattern in ("#", "camward/1/+/call", "camward/1/+/reply/gateway", "camward/1/+/reply/+"):
            await subscribe_quietly(recorder, pattern)
        await recorder.subscribe(topics.every_reply("recorder"), qos=1)
        await service.publish(topics.call(ME), b"secret", qos=1)
        await camera.publish(topics.reply(ME, "gateway"), b"secret", qos=1)
        await camera.publish(topics.reply(ME, "recorder"), b"marker", qos=1)
        assert await next_message(recorder) == (topics.reply(ME, "recorder"), b"marker")


async def test_an_app_writes_no_status_and_no_reply(broker: RunningBroker) -> None:
    async with gateway(broker) as service, app(broker) as recorder:
        await listen_to_all(service, "gateway")
        for topic in (topics.status(ME), topics.reply(ME, "gateway"), f"camward/1/{ME}/event/motion"):
            await publish_quietly(recorder, topic, b"forged")
        await nothing_but_a_marker(broker, service)


async def test_an_app_or_service_that_nobody_granted_hears_and_says_nothing(tmp_path: Path) -> None:
    async with running("mosquitto", tmp_path, []) as broker, device(broker) as camera:
        await camera.subscribe(topics.call(ME), qos=1)
        await camera.publish(topics.status(ME), b"online", qos=1, retain=True)
        async with broker.client(Role.APP, "stranger") as stranger, gateway(broker) as service:
            await subscribe_quietly(stranger, topics.every_status())
            await publish_quietly(stranger, topics.call(ME), b"forged")
            await service.publish(topics.call(ME), b"marker", qos=1)
            assert await next_message(camera) == (topics.call(ME), b"marker")
            with pytest.raises(TimeoutError):
                await next_message(stranger, 0.3)

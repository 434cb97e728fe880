"""The way of an app, with real brokers."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from protocol import topics
from protocol.names import Role
from tests.kit.brokers import RunningBroker, embedded, make_fleet, mosquitto, next_message
from tests.kit.caller import TrustTree
from tests.viewer.conftest import DEVICE, OTHER
from viewer import mqtt
from viewer.errors import Fault, NotVerified
from viewer.mqtt import App
from viewer.options import AppOptions

pytestmark = pytest.mark.broker


@pytest.fixture(params=["mosquitto", "embedded"])
async def broker(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[RunningBroker]:
    fleet = make_fleet(tmp_path / "fleet")
    running = mosquitto(fleet, apps=["door"]) if request.param == "mosquitto" else embedded(fleet)
    async with running as broker:
        yield broker


def app(broker: RunningBroker, **changes: object) -> AppOptions:
    given = {
        "credentials": broker.leaf(Role.APP, "door"),
        "name": "door",
        "host": "localhost",
        "port": broker.fleet.ports.broker,
    }
    return AppOptions(**(given | changes))  # type: ignore[arg-type]


def root(broker: RunningBroker) -> Path:
    return broker.fleet.directory / "root.pem"


async def test_an_app_calls_a_camera_and_hears_its_status_and_its_replies(broker: RunningBroker) -> None:
    async with broker.client(Role.DEVICE, DEVICE) as device, broker.client(Role.DEVICE, OTHER) as other:
        await device.subscribe(topics.call(DEVICE), qos=1)
        await device.publish(topics.status(DEVICE), b"status", qos=1, retain=True)
        await other.publish(topics.status(OTHER), b"another's status", qos=1, retain=True)
        async with App.connect(app(broker), root(broker), DEVICE) as way:
            assert await way.receive() == b"status"

            await way.send("offer")
            assert await next_message(device) == (topics.call(DEVICE), b"offer")

            await device.publish(topics.reply(DEVICE, "gateway"), b"not ours", qos=1)
            await device.publish(topics.reply(DEVICE, "door"), b"answer", qos=1)
            assert await way.receive() == b"answer"


async def test_one_app_watches_two_cameras_at_once(broker: RunningBroker) -> None:
    async with broker.client(Role.DEVICE, DEVICE) as device:
        await device.publish(topics.status(DEVICE), b"status", qos=1, retain=True)
        async with (
            App.connect(app(broker), root(broker), DEVICE) as way,
            App.connect(app(broker), root(broker), OTHER),
        ):
            assert await way.receive() == b"status"


async def test_an_app_whose_rights_the_broker_takes_in_late_hears_the_status_all_the_same(tmp_path: Path) -> None:
    fleet = make_fleet(tmp_path / "fleet")
    async with mosquitto(fleet) as broker, broker.client(Role.DEVICE, DEVICE) as device:
        await device.publish(topics.status(DEVICE), b"status", qos=1, retain=True)
        async with App.connect(app(broker), root(broker), DEVICE) as way:
            heard = asyncio.create_task(way.receive())
            assert await asyncio.wait({heard}, timeout=0.5) == (set(), {heard})  # mosquitto grants, and gives nothing

            broker.reload(apps=["door"])

            async with asyncio.timeout(10):
                assert await heard == b"status"


async def test_a_broker_that_goes_away_is_a_fault(broker: RunningBroker) -> None:
    async with App.connect(app(broker), root(broker), DEVICE) as way:
        if broker.process is not None:
            broker.process.kill()
        else:
            assert broker.embedded is not None
            await broker.embedded.evict("door")

        with pytest.raises(Fault, match="The connection to the broker ended"):
            async with asyncio.timeout(10):
                await way.receive()


async def test_a_broker_under_another_root_is_not_verified(broker: RunningBroker, tmp_path: Path) -> None:
    other = tmp_path / "other.pem"
    other.write_bytes(TrustTree().root.public_bytes(Encoding.PEM))

    with pytest.raises(NotVerified, match="cannot prove its name"):
        await App.connect(app(broker), other, DEVICE).__aenter__()


async def test_a_broker_that_is_not_there_is_named(broker: RunningBroker, unused_tcp_port: int) -> None:
    with pytest.raises(Fault, match=f"The broker localhost:{unused_tcp_port} cannot be used"):
        await App.connect(app(broker, port=unused_tcp_port), root(broker), DEVICE).__aenter__()


async def test_whoever_gives_up_while_it_connects_leaves_no_connection_behind(
    broker: RunningBroker, unused_tcp_port: int
) -> None:
    open_now = 0
    seen = asyncio.Event()
    let_on = asyncio.Event()

    async def pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65536):
            writer.write(data)
        writer.close()

    async def between(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal open_now
        open_now += 1
        seen.set()
        await let_on.wait()
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", broker.fleet.ports.broker)
        await asyncio.gather(pass_on(reader, far_writer), pass_on(far_reader, writer), return_exceptions=True)
        open_now -= 1

    async with await asyncio.start_server(between, "127.0.0.1", unused_tcp_port):
        connecting = asyncio.create_task(
            App.connect(app(broker, port=unused_tcp_port), root(broker), DEVICE).__aenter__()
        )
        await seen.wait()
        connecting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await connecting
        let_on.set()
        async with asyncio.timeout(20):
            while open_now:
                await asyncio.sleep(0.01)


async def test_a_broker_that_stalls_tls_is_given_up(broker: RunningBroker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mqtt, "_TIMEOUT_S", 0.5)

    async def hold(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    silent = await asyncio.start_server(hold, "127.0.0.1", 0)
    port = silent.sockets[0].getsockname()[1]

    began = time.monotonic()
    with pytest.raises(Fault, match="cannot be used"):
        await App.connect(app(broker, host="127.0.0.1", port=port), root(broker), DEVICE).__aenter__()

    assert time.monotonic() - began < 5.0
    silent.close()

"""The link to a broker that does not behave: the loop runs on, and shutting down does not wait for it."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from paho.mqtt.client import MQTTMessage

from agent.config import BrokerConfig
from agent.signaling import link as linking
from agent.signaling.client import QUEUED
from agent.signaling.link import _UNCONFIRMED, Link, Presence
from agent.tasks import end
from protocol import topics
from protocol.jws import MAX_MESSAGE
from protocol.names import Role, device_id
from provisioning.broker_files import write_broker_files
from provisioning.tls import broker_context
from tests.kit.brokers import RunningBroker, make_fleet, mosquitto, next_message, started
from tests.kit.caller import TrustTree
from tests.kit.lag import lag_of_the_loop
from tests.kit.pki import issue_leaf, utc_now

DEVICE = device_id(bytes(16))
PUBACK = 0x40  # MQTT 5, section 2.1.2


@pytest.fixture
def identity(tmp_path: Path) -> tuple[Path, Path]:
    """The root, and the device's key with its chain, as files."""
    tree = TrustTree()
    device = tree.leaf(Role.DEVICE, DEVICE)
    root, operational = tmp_path / "root.pem", tmp_path / "operational.pem"
    root.write_bytes(tree.root.public_bytes(Encoding.PEM))
    operational.write_bytes(
        device.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        + b"".join(entry.public_bytes(Encoding.PEM) for entry in device.chain)
    )
    return root, operational


@pytest.fixture
async def silent_broker() -> AsyncIterator[tuple[int, asyncio.Event]]:
    """Takes TCP connections and never says a word of TLS. Gives its port, and an event for the first connection."""
    taken = asyncio.Event()

    async def hold(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        taken.set()
        try:
            await asyncio.sleep(3600)
        finally:
            writer.close()

    server = await asyncio.start_server(hold, "127.0.0.1", 0)
    yield server.sockets[0].getsockname()[1], taken
    server.close()


def link_to(port: int, root: Path) -> Link:
    return Link(
        BrokerConfig(host="127.0.0.1", port=port),
        device=DEVICE,
        root=root,
        presence=Presence(online=lambda: "online", offline=lambda: "offline"),
        receive=lambda payload: None,
        on_state=lambda connected: None,
    )


@pytest.mark.broker
async def test_credentials_that_change_while_it_connects_are_not_taken_for_proven(tmp_path: Path) -> None:
    fleet = make_fleet(tmp_path / "fleet")
    old, new = (issue_leaf(fleet, Role.DEVICE, DEVICE).path.rename(tmp_path / name) for name in ("old", "new"))
    presented, connected = [old], asyncio.Queue[Path]()

    def credentials() -> Path:
        if presented == [old]:  # the renewal comes when these have just been taken
            asyncio.get_running_loop().call_soon(renew)
        shown.append(presented[0])
        return presented[0]

    def renew() -> None:
        presented[0] = new
        link.reconnect()

    shown: list[Path] = []
    link = Link(
        BrokerConfig(host="localhost", port=fleet.ports.broker),
        device=DEVICE,
        root=fleet.directory / "root.pem",
        presence=Presence(online=lambda: "online", offline=lambda: "offline"),
        receive=lambda payload: None,
        on_state=lambda up: connected.put_nowait(shown[-1]) if up else None,
    )
    async with mosquitto(fleet), asyncio.timeout(10):
        task = asyncio.create_task(link.run(credentials))

        assert await connected.get() == new
        await end(task)


@pytest.mark.broker
async def test_a_broker_without_a_limit_of_its_own_keeps_longer_messages_than_the_protocol_s_to_itself(
    tmp_path: Path,
) -> None:
    fleet = make_fleet(tmp_path / "fleet")
    user = "root" if os.geteuid() == 0 else None
    conf = write_broker_files(fleet, apps=["phone"], withdrawn=(), now=utc_now(), address="127.0.0.1", user=user)
    conf.write_text(re.sub("max_packet_size .*", "", conf.read_text()))
    device, heard, up = issue_leaf(fleet, Role.DEVICE, DEVICE), asyncio.Queue[bytes](), asyncio.Event()
    link = Link(
        BrokerConfig(host="localhost", port=fleet.ports.broker),
        device=DEVICE,
        root=fleet.directory / "root.pem",
        presence=Presence(online=lambda: "online", offline=lambda: "offline"),
        receive=heard.put_nowait,
        on_state=lambda connected: up.set() if connected else None,
    )
    async with started(conf, fleet) as broker, asyncio.timeout(10):
        task = asyncio.create_task(link.run(lambda: device.path))
        await up.wait()
        async with broker.client(Role.APP, "phone") as phone:
            for message in (bytes(2 * MAX_MESSAGE), bytes(MAX_MESSAGE)):
                await phone.publish(topics.call(DEVICE), message, qos=1)

        assert await heard.get() == bytes(MAX_MESSAGE)
        assert link.dropped == 0
        await end(task)


@pytest.mark.broker
async def test_an_answer_waits_for_no_confirmation_of_the_one_before(tmp_path: Path) -> None:
    fleet = make_fleet(tmp_path / "fleet")
    device, up = issue_leaf(fleet, Role.DEVICE, DEVICE), asyncio.Event()
    async with (
        mosquitto(fleet, apps=["phone"]) as broker,
        unconfirming(broker, device.path) as port,
        broker.client(Role.APP, "phone") as phone,
        asyncio.timeout(30),
    ):
        await phone.subscribe(topics.every_reply("phone"), qos=1)
        link = Link(
            BrokerConfig(host="localhost", port=port),
            device=DEVICE,
            root=fleet.directory / "root.pem",
            presence=Presence(online=lambda: "online", offline=lambda: "offline"),
            receive=lambda payload: None,
            on_state=lambda connected: up.set() if connected else None,
        )
        task = asyncio.create_task(link.run(lambda: device.path))
        await up.wait()

        for number in range(2 * _UNCONFIRMED):
            link.reply("phone", str(number))

        heard = [(await next_message(phone))[1] for _ in range(_UNCONFIRMED)]
        assert heard == [str(number).encode() for number in range(_UNCONFIRMED)]
        assert (link._out.qsize(), link.dropped) == (_UNCONFIRMED, 0)
        await end(task)


@contextlib.asynccontextmanager
async def unconfirming(broker: RunningBroker, device: Path) -> AsyncIterator[int]:
    """Stand before the broker, for one device, and keep back each PUBACK but the first. Gives the port."""

    async def pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        context = ssl.create_default_context(cafile=broker.fleet.directory / "root.pem")
        context.load_cert_chain(device)
        up, down = await asyncio.open_connection("localhost", broker.fleet.ports.broker, ssl=context)
        back = asyncio.create_task(hold_back(up, writer))
        while said := await reader.read(4096):
            down.write(said)
        back.cancel()
        down.close()
        writer.close()

    async def hold_back(up: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        confirmed = False
        while True:
            head = await up.readexactly(2)  # a packet's kind, and its length: nothing here is longer than 127 bytes
            packet = head + await up.readexactly(head[1])
            if head[0] == PUBACK and confirmed:
                continue
            confirmed |= head[0] == PUBACK
            writer.write(packet)

    context = broker_context(broker.fleet, utc_now())
    server = await asyncio.start_server(pass_on, "127.0.0.1", 0, ssl=context)
    yield server.sockets[0].getsockname()[1]
    server.close()


@pytest.mark.alone
async def test_a_broker_that_stalls_tls_does_not_stall_the_loop(
    identity: tuple[Path, Path], silent_broker: tuple[int, asyncio.Event]
) -> None:
    root, operational = identity
    port, taken = silent_broker
    task = asyncio.create_task(link_to(port, root).run(lambda: operational))

    lag = await lag_of_the_loop(10)

    assert taken.is_set()
    assert lag.usual_s < 0.05, lag
    assert lag.worst_s < 1, lag  # a handshake on the loop would hold it for all its ten seconds
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_a_broker_that_is_not_there_is_named_once_and_tried_again(
    identity: tuple[Path, Path], caplog: pytest.LogCaptureFixture, unused_tcp_port: int
) -> None:
    root, operational = identity
    task = asyncio.create_task(link_to(unused_tcp_port, root).run(lambda: operational))

    await asyncio.sleep(4)

    warnings = [record.getMessage() for record in caplog.records if record.name == "agent.signaling.link"]
    assert len(warnings) == 1
    assert f"127.0.0.1:{unused_tcp_port}" in warnings[0]
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_a_network_that_is_back_is_tried_at_once(
    identity: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch, unused_tcp_port: int
) -> None:
    monkeypatch.setattr(linking, "_FIRST_RETRY_S", 600.0)
    root, operational = identity
    tries = asyncio.Queue[None]()

    def credentials() -> Path:
        tries.put_nowait(None)
        return operational

    link = link_to(unused_tcp_port, root)
    task = asyncio.create_task(link.run(credentials))
    for _ in range(3):
        async with asyncio.timeout(20):
            await tries.get()
        link.network_changed(frozenset())

    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


@pytest.mark.broker
async def test_a_connection_is_made_anew_only_when_its_own_address_is_gone(tmp_path: Path) -> None:
    fleet = make_fleet(tmp_path / "fleet")
    credentials = issue_leaf(fleet, Role.DEVICE, DEVICE).path
    states = asyncio.Queue[bool]()
    link = Link(
        BrokerConfig(host="localhost", port=fleet.ports.broker),
        device=DEVICE,
        root=fleet.directory / "root.pem",
        presence=Presence(online=lambda: "online", offline=lambda: "offline"),
        receive=lambda payload: None,
        on_state=states.put_nowait,
    )
    async with mosquitto(fleet), asyncio.timeout(20):
        task = asyncio.create_task(link.run(lambda: credentials))
        assert await states.get()
        assert link.local_address in {"127.0.0.1", "::1"}

        link.network_changed(frozenset({"192.0.2.7", "fe80::1"}))
        await asyncio.sleep(0.2)
        assert states.empty()
        link.network_changed(frozenset({link.local_address}))

        assert not await states.get()
        assert await states.get()
        await end(task)


async def test_what_is_said_without_a_connection_is_counted_and_dropped(identity: tuple[Path, Path]) -> None:
    link = link_to(1, identity[0])

    link.reply("tester", "hello")
    link.announce()

    assert link.dropped == 2


async def test_a_flood_is_counted_and_not_logged_message_by_message(
    identity: tuple[Path, Path], caplog: pytest.LogCaptureFixture
) -> None:
    root, operational = identity
    link = link_to(1, root)
    client = await link._client(operational)

    for _ in range(QUEUED + 44):
        client._on_message(client._client, None, MQTTMessage(topic=topics.call(DEVICE).encode()))

    assert link.dropped == 44
    assert not caplog.records

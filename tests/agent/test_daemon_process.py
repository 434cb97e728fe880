"""The daemon as a process of its own, through a renewal and to its end beside a server that stalls."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from protocol import jws, topics
from protocol.names import Role
from provisioning.registry import Registry
from tests.kit.brokers import RunningBroker, free_port, make_fleet, mosquitto, next_message
from tests.kit.device import device_config
from tests.kit.pki import enrol, serving_est

pytestmark = pytest.mark.broker
APP = "phone"


@pytest.fixture
async def broker(tmp_path: Path) -> AsyncIterator[RunningBroker]:
    async with mosquitto(make_fleet(tmp_path / "fleet"), apps=[APP]) as broker:
        yield broker


async def test_after_a_renewal_the_will_is_signed_with_the_new_certificate(
    broker: RunningBroker, tmp_path: Path
) -> None:
    registry = Registry(broker.fleet.registry_url)
    aged = enrol(broker.fleet, registry, "SN1", datetime.now(UTC) - timedelta(days=25))

    async def signer(presence: str) -> str:
        while True:
            topic, payload = await next_message(phone, 10)
            message = jws.peek(payload)
            if topic == topics.status(aged.id) and message.payload["presence"] == presence:
                return str(message.header["x5c"][0])

    async with broker.client(Role.APP, APP) as phone:
        await phone.subscribe(topics.every_status(), qos=1)
        with serving_est(broker.fleet, registry) as est:
            config = device_config(broker.fleet, aged, tmp_path, identity={"est": est})
            process = await asyncio.create_subprocess_exec(sys.executable, "-m", "camward", "run", "--config", config)
            old = await signer("online")
            while (new := await signer("online")) == old:
                pass
        process.kill()
        await process.wait()

        assert await signer("offline") == new


async def test_a_server_that_stalls_does_not_hold_up_the_end(broker: RunningBroker, tmp_path: Path) -> None:
    taken = asyncio.Event()

    async def hold(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        taken.set()
        await reader.read()
        await reader.read()

    server = await asyncio.start_server(hold, "localhost", port := free_port())
    enrolled = enrol(broker.fleet, Registry(broker.fleet.registry_url), "SN1")
    config = device_config(broker.fleet, enrolled, tmp_path, broker={"port": port})
    script = "import sys; from agent import cli; cli.EXIT_S = 1.0; sys.exit(cli.run(sys.argv[1:]))"
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", script, "--config", config, stderr=asyncio.subprocess.PIPE
    )
    await taken.wait()

    began = time.monotonic()
    process.terminate()
    _, errors = await process.communicate()
    server.close()

    assert time.monotonic() - began < 9  # and not the ten seconds that the handshake is given
    assert process.returncode == 1
    assert b"left behind" in errors

"""The whole fleet service in the test's process, on free ports, with either broker; and devices that sign."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp
import aiomqtt
from aiohttp import ClientSession

from protocol import topics
from provisioning.people import People
from provisioning.registry import Registry
from provisioning.serve import FleetService, Options
from provisioning.store import Fleet
from tests.kit import brokers, site
from tests.kit.caller import Signer
from tests.kit.pki import EnrolledDevice, utc_now


@dataclass(kw_only=True)
class Served:
    """A fleet that is being served, and this test as another process that works on it."""

    fleet: Fleet
    broker: str
    registry: Registry
    people: People
    lines: list[str] = field(default_factory=list)

    @property
    def page(self) -> str:
        return f"http://localhost:{self.fleet.ports.page}"

    @property
    def https(self) -> str:
        return f"https://localhost:{self.fleet.ports.https}"

    def tls(self, leaf: Path | None = None) -> ssl.SSLContext:
        context = ssl.create_default_context(cafile=self.fleet.directory / "root.pem")
        if leaf is not None:
            context.load_cert_chain(leaf)
        return context

    def mqtt(self, leaf: Path, name: str, **more: object) -> aiomqtt.Client:
        version = aiomqtt.ProtocolVersion.V5 if self.broker == "mosquitto" else aiomqtt.ProtocolVersion.V311
        return aiomqtt.Client(
            "localhost",
            self.fleet.ports.broker,
            tls_context=self.tls(leaf),
            protocol=version,
            identifier=name,
            timeout=5,
            **more,  # type: ignore[arg-type]
        )

    @contextlib.asynccontextmanager
    async def camera(self, device: EnrolledDevice) -> AsyncIterator[aiomqtt.Client]:
        """A device that is connected, with its will, its call topic, and its status online."""
        signer = Signer(key=device.operational.key, chain=list(device.operational.chain))
        topic = topics.status(device.id)
        will = aiomqtt.Will(topic, site.status(signer, device.id, "offline"), qos=1, retain=True)
        async with self.mqtt(device.operational.path, device.id, will=will) as client:
            await client.subscribe(topics.call(device.id), qos=1)
            await client.subscribe(topics.control(device.id), qos=1)
            await client.publish(topic, site.status(signer, device.id), qos=1, retain=True)
            yield client

    @contextlib.asynccontextmanager
    async def signed_in(self, name: str = "anna", device: str = "*") -> AsyncIterator[ClientSession]:
        """A browser on the page, signed in."""
        self.people.permit(name, device=device, scope=site.LIVE, is_app=False, now=utc_now())
        code = self.people.new_code(name, utc_now())
        async with ClientSession(self.page, headers={"Origin": self.page}) as session:
            async with session.post("/v1/sign-in", json={"code": code}) as response:
                assert response.status == 204
            yield session

    async def presence(self, browser: ClientSession, device: str, wanted: str) -> None:
        """Wait until the API says so."""
        async with asyncio.timeout(20):
            while True:
                async with browser.get("/v1/devices") as response:
                    listed = (await response.json())["devices"]
                if {"id": device, "presence": wanted} in [{k: d[k] for k in ("id", "presence")} for d in listed]:
                    return
                await asyncio.sleep(0.05)


@contextlib.asynccontextmanager
async def serving(directory: Path, broker: str, fleet: Fleet | None = None) -> AsyncIterator[Served]:
    """Serve a fleet, a new one if none is given, until the end of the block; an error of it comes out."""
    fleet = fleet or brokers.make_fleet(directory)
    registry = Registry(fleet.registry_url)
    served = Served(fleet=fleet, broker=broker, registry=registry, people=People(registry.engine))
    stop, ready = asyncio.Event(), asyncio.Event()
    service = FleetService(fleet, Options(broker=broker, address="127.0.0.1"), served.lines.append)
    task = asyncio.create_task(service.run(stop, ready.set))
    waiting = asyncio.create_task(ready.wait())
    await asyncio.wait([task, waiting], return_when=asyncio.FIRST_COMPLETED)
    if not waiting.done():
        waiting.cancel()
        await task
    try:
        yield served
    finally:
        stop.set()
        async with asyncio.timeout(20):
            await task
        registry.close()


def app_connector(context: ssl.SSLContext) -> aiohttp.TCPConnector:
    """A connector that shows the certificate in `context`."""
    return aiohttp.TCPConnector(ssl=context)

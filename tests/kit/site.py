"""The fleet's site on a real port, with an enrolled device and its signed messages, and no broker behind it."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from aiohttp.test_utils import TestServer

from protocol import jws, topics
from protocol.messages import Answer, Status
from provisioning.api import application
from provisioning.files import Leaf
from provisioning.gateway import Gateway
from provisioning.ice import IceServers
from provisioning.people import People
from provisioning.registry import Registry
from provisioning.store import Fleet
from provisioning.web import Site
from tests.kit.caller import Signer
from tests.kit.pki import EnrolledDevice, enrol, make_fleet

LIVE = frozenset({"live"})


@dataclass
class Web:
    """One fleet's site on a real port, and what it published."""

    fleet: Fleet
    registry: Registry
    people: People
    authoriser: Leaf
    server: TestServer
    gateway: Gateway
    sent: list[tuple[str, str]]
    device: EnrolledDevice
    later: timedelta = field(default_factory=timedelta)

    def now(self) -> datetime:
        return datetime.now(UTC) + self.later

    @property
    def origin(self) -> str:
        return str(self.server.make_url("/")).rstrip("/")

    @property
    def camera(self) -> Signer:
        return Signer(key=self.device.operational.key, chain=list(self.device.operational.chain))

    def online(self, viewers: int = 0) -> None:
        self.gateway.received(topics.status(self.device.id), status(self.camera, self.device.id, viewers=viewers))

    def code(self, name: str = "anna", device: str = "*") -> str:
        self.people.permit(name, device=device, scope=LIVE, is_app=False, now=self.now())
        return self.people.new_code(name, self.now())


@contextlib.asynccontextmanager
async def serving_site(directory: Path, ice: IceServers | None = None) -> AsyncIterator[Web]:
    """Serve page and API of a fleet with one enrolled device; the broker is a list."""
    fleet = make_fleet(directory)
    registry = Registry(fleet.registry_url)
    sent: list[tuple[str, str]] = []

    async def publish(topic: str, message: str) -> None:
        sent.append((topic, message))

    gateway, people = Gateway(publish=publish), People(registry.engine)
    gateway.found()
    authoriser = fleet.ensure_authoriser(datetime.now(UTC))
    site = Site(
        registry=registry,
        people=people,
        gateway=gateway,
        authoriser=lambda: authoriser,
        ice=ice or fleet.ice,
        clock=lambda: served.now(),
    )
    async with TestServer(application(site.routes())) as server:
        device = enrol(fleet, registry, "SN1")
        served = Web(fleet, registry, people, authoriser, server, gateway, sent, device)
        yield served
    registry.close()


def status(signer: Signer, device: str, presence: str = "online", viewers: int = 0) -> bytes:
    """A device's signed status."""
    payload = Status(
        device=device,
        presence=presence,
        iat=int(time.time()),
        challenge="c" * 22,
        viewers=viewers,
        camera="asleep",
        software="camward",
    ).payload()
    return signer.sign("status", payload).encode()


def sid_of(message: str) -> str:
    """The sid of a call."""
    return str(jws.peek(message).payload["sid"])


def answer(to: str, signer: Signer, device: str, sdp: str = "v=0") -> bytes:
    """A device's signed answer to an offer."""
    said = Answer(device=device, sid=sid_of(to), offer_sha256=jws.sha256(to), sdp=sdp, session_s=3600)
    return signer.sign("answer", said.payload()).encode()


async def until(condition: Callable[[], bool]) -> None:
    """Wait for what another task brings about."""
    async with asyncio.timeout(20):
        while not condition():
            await asyncio.sleep(0.01)

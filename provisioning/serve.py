"""The fleet service in one process: EST, API and page, gateway, broker, renewal, and what other processes changed.

It closes in the order: sites, gateway, broker, registry.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import ssl
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, Protocol

from aiohttp import web
from cryptography import x509

from protocol import topics
from protocol.names import Role
from provisioning import tls
from provisioning.api import application
from provisioning.embedded_broker import EmbeddedBroker
from provisioning.errors import RegistryError
from provisioning.est import Enrolment
from provisioning.files import FleetError, PortTaken
from provisioning.gateway import Gateway
from provisioning.gateway_link import GatewayLink
from provisioning.grants import make_revoke
from provisioning.mosquitto import Mosquitto
from provisioning.people import WITHDRAWN, People
from provisioning.presence import Presence
from provisioning.registry import Event, Registry
from provisioning.store import Fleet
from provisioning.web import Site
from provisioning.withdrawals import Withdrawals, person_of

BROKERS: Final = ("mosquitto", "embedded")
LOOPBACK: Final = ("127.0.0.1", "::1")
_EVENTS_S: Final = 0.5
_RENEWAL_S: Final = 3600.0
_GOODBYE_S: Final = 0.5  # for requests that are being answered


class _Broker(Protocol):
    async def evict(self, device: str) -> None: ...
    async def reload(self) -> None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """How a fleet is served."""

    broker: str = "mosquitto"
    address: str | None = None  # None is every address of the machine, else one that `localhost` reaches
    local_page: bool = True  # the page without TLS, on localhost alone


class FleetService:
    """One fleet, served; `say` gets a plain line of whatever happens."""

    def __init__(self, fleet: Fleet, options: Options, say: Callable[[str], None]) -> None:
        """Open the registry and the credentials. Errors: FleetError."""
        self.fleet, self._options, self._say = fleet, options, say
        self.registry = Registry(fleet.registry_url)
        self.people = People(self.registry.engine)
        self._authoriser = fleet.ensure_authoriser(_now())
        self._gateway_leaf = fleet.ensure_gateway(_now())
        self._contexts = [tls.server_context(fleet, _now()), tls.broker_context(fleet, _now())]
        self._withdrawals = Withdrawals()
        self._presence = Presence(
            root=fleet.root, registry=self.registry, clock=_now, say=say, returned=self._tell_what_was_missed
        )
        self._link = GatewayLink(
            host="localhost",
            port=fleet.ports.broker,
            root=fleet.directory / "root.pem",
            credentials=lambda: self._gateway_leaf.path,
            on_status=self._on_status,
            on_lost=self._presence.lost,
            say=say,
        )
        self.gateway = Gateway(publish=self._link.publish)

    async def run(self, stop: asyncio.Event, ready: Callable[[], None] = lambda: None) -> None:
        """Serve until `stop`; `ready` is called once everything listens. Errors: FleetError."""
        try:
            seen = await self._catch_up()
            async with self._broker() as broker, self._sites(), asyncio.TaskGroup() as group:
                tasks = [
                    group.create_task(self._link.run(self.gateway), name="gateway"),
                    group.create_task(self._follow_events(seen, broker), name="events"),
                    group.create_task(self._renew(broker), name="renewal"),
                ]
                ready()
                await stop.wait()
                for task in tasks:
                    task.cancel()
        finally:
            self.registry.close()

    @contextlib.asynccontextmanager
    async def _broker(self) -> AsyncIterator[_Broker]:
        if self._options.broker == "mosquitto":
            chosen = Mosquitto(self.fleet, self.registry, self.people, address=self._options.address, say=self._say)
            async with chosen as broker:
                yield broker
            return
        embedded = EmbeddedBroker(
            address=self._options.address, port=self.fleet.ports.broker, tls=self._contexts[1], admit=self._admit
        )
        async with contextlib.AsyncExitStack() as stack:
            try:
                await stack.enter_async_context(embedded)
            except OSError as error:
                raise _in_use("the broker", self.fleet.ports.broker, error) from error
            yield embedded

    async def _admit(self, role: Role, name: str, leaf: x509.Certificate) -> bool:
        if role is not Role.DEVICE:
            return True
        try:
            await asyncio.to_thread(self.registry.check, leaf.serial_number, _now())
        except RegistryError as error:
            self._say(f"the broker refused device {name}: {error}")
            return False
        return True

    @contextlib.asynccontextmanager
    async def _sites(self) -> AsyncIterator[None]:
        site = Site(
            registry=self.registry,
            people=self.people,
            gateway=self.gateway,
            authoriser=lambda: self._authoriser,
            ice=self.fleet.ice,
            clock=_now,
        )
        enrolment = Enrolment(self.fleet, self.registry, _now)
        ports = self.fleet.ports
        async with contextlib.AsyncExitStack() as stack:
            everything = await stack.enter_async_context(_runner([*enrolment.routes(), *site.routes()]))
            await _listen(everything, "EST and API", self._options.address, ports.https, self._contexts[0])
            if self._options.local_page:
                page = await stack.enter_async_context(_runner(site.routes()))
                for address in LOOPBACK:
                    await _listen(page, "the page", address, ports.page, None)
            yield

    async def _on_status(self, device: str) -> None:
        message = self.gateway.status(device)
        if message is not None:
            await self._presence.arrived(device, message)

    async def _catch_up(self) -> int:
        """Take in who is revoked and what was withdrawn, and give the number of the newest event."""
        for device in await asyncio.to_thread(self.registry.devices):
            if device.state == "revoked":
                self.gateway.revoke(device.id)
        number = 0
        while events := await asyncio.to_thread(self.registry.events_after, number):
            number = events[-1].number
            for event in events:
                self._withdrawals.note(event)
        return number

    async def _follow_events(self, number: int, broker: _Broker) -> None:
        """Act on what this or another process wrote into the registry; half a second lies between."""
        while True:
            for event in await asyncio.to_thread(self.registry.events_after, number):
                number = event.number
                await self._happened(event, broker)
            await asyncio.sleep(_EVENTS_S)

    async def _happened(self, event: Event, broker: _Broker) -> None:
        self._withdrawals.note(event)
        self._say(await asyncio.to_thread(self._sentence, event))
        if event.kind in {"revoked", "enrolled", "certified", "granted"}:
            await broker.reload()
        if event.kind == WITHDRAWN:
            await self._withdrawn(event)
        if event.device is None:
            return
        if event.kind == "revoked":
            # A device that enrols anew loses only the certificates that it had.
            if (await asyncio.to_thread(self.registry.device, event.device)).state == "revoked":
                self.gateway.revoke(event.device)
                await self._revoke(event.device)  # before its connection ends: after that it hears nothing any more
            await broker.evict(event.device)
        elif event.kind == "claimed":
            self.gateway.admit(event.device)

    async def _withdrawn(self, event: Event) -> None:
        """Have the devices end what one person was granted; permissions that they still have give them new grants."""
        person = person_of(event)
        listed = await asyncio.to_thread(self.registry.devices)
        for device in [device.id for device in listed if device.state == "enrolled"]:
            if event.device in {None, device}:
                await self._revoke(device, person)

    async def _tell_what_was_missed(self, device: str) -> None:
        """Repeat withdrawals to a device that was away; of who may see it again, nothing: their new grants stand."""
        for person in self._withdrawals.concerning(device, _now()):
            if not (await asyncio.to_thread(self.people.permissions, person)).allow(device):
                await self._revoke(device, person)

    async def _revoke(self, device: str, person: str = "") -> None:
        """Have a device end what was granted: to one person, or to everybody."""
        message = make_revoke(self._authoriser, device=device, person=person, now=_now())
        try:
            await self._link.publish(topics.control(device), message)
        except ConnectionError as error:
            self._say(f"{device} could not be told to end its sessions: {error}")

    def _sentence(self, event: Event) -> str:
        label = self.registry.device(event.device).label if event.device else "fleet"
        return f"{label}: {event.kind}, {event.note}"

    async def _renew(self, broker: _Broker) -> None:
        """Renew what the fleet itself stands on, long before it ends."""
        while True:
            await asyncio.sleep(_RENEWAL_S)
            now = _now()
            for context in self._contexts:
                await asyncio.to_thread(tls.refresh, context, self.fleet, now)
            self._authoriser = await asyncio.to_thread(self.fleet.ensure_authoriser, now)
            self._gateway_leaf = await asyncio.to_thread(self.fleet.ensure_gateway, now)
            await broker.reload()


@contextlib.asynccontextmanager
async def _runner(routes: Sequence[web.RouteDef]) -> AsyncIterator[web.AppRunner]:
    runner = web.AppRunner(application(routes), access_log=None, handle_signals=False, shutdown_timeout=_GOODBYE_S)
    await runner.setup()
    try:
        yield runner
    finally:
        await runner.cleanup()


async def _listen(
    runner: web.AppRunner, what: str, address: str | None, port: int, context: ssl.SSLContext | None
) -> None:
    try:
        await web.TCPSite(runner, address, port, ssl_context=context).start()
    except OSError as error:
        if address == "::1" and error.errno in {errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT}:
            return  # a machine without IPv6
        raise _in_use(what, port, error) from error


def _in_use(what: str, port: int, error: OSError) -> FleetError:
    if error.errno == errno.EADDRINUSE:
        return PortTaken(f"{what} wants port {port}, which is in use: stop what has it, or change fleet.toml")
    return FleetError(f"{what} cannot listen on port {port}: {error.strerror}")


def _now() -> datetime:
    return datetime.now(UTC)

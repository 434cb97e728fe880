"""A fleet, a camera and a viewer in networks of their own, and other addresses for those two.

    viewer 9.2.0.2 ── 9.2.0.1 fleet service and broker 9.1.0.1 ── 9.1.0.2 camera
           9.5.0.2 ── 9.5.0.1                          9.4.0.1 ── 9.4.0.2

Each is a process as it is in use: `camward fleet serve` with mosquitto, `camward run`, and whatever watches.
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from provisioning import store
from provisioning.people import People
from provisioning.registry import Registry
from provisioning.store import Fleet
from tests.kit.demo import Demo as Process
from tests.kit.device import device_config
from tests.kit.link import Namespace, cable, namespace
from tests.kit.pki import EnrolledDevice, enrol

FLEET = "9.1.0.1"
_FORWARD = Path("/proc/sys/net/ipv4/ip_forward")


@dataclass(frozen=True, slots=True, kw_only=True)
class Roads:
    """The networks, and what runs in them."""

    outside: Namespace
    home: Namespace
    away: Namespace
    fleet: Fleet
    device: EnrolledDevice
    camera: Process

    @property
    def origin(self) -> str:
        return f"https://{FLEET}:{self.fleet.ports.https}"

    def new_code(self) -> str:
        """Make a code to sign in with, for somebody who may see the camera."""
        registry, now = Registry(self.fleet.registry_url), datetime.now(UTC)
        try:
            people = People(registry.engine)
            people.permit("anna", device="*", scope=frozenset({"live"}), is_app=False, now=now)
            return people.new_code("anna", now)
        finally:
            registry.close()

    def move_viewer(self) -> float:
        """Give the viewer another address; gives when, in seconds since 1970."""
        return _readdress(self.away, self.outside, device="to-9.2.0.2", before="9.2.0.2", after="9.5.0.2")

    def move_camera(self) -> float:
        """Give the camera another address; gives when, in seconds since 1970."""
        return _readdress(self.home, self.outside, device="to-9.1.0.2", before="9.1.0.2", after="9.4.0.2")

    @contextlib.asynccontextmanager
    async def watching(self, *options: str) -> AsyncIterator[Process]:
        """Run `camward view` where the viewer is."""
        root = self.fleet.directory / "root.pem"
        where = ("--device", self.device.id, "--fleet", self.origin, "--root", str(root))
        async with _process(self.away, "view", *where, *options, says=self.new_code()) as process:
            yield process


@contextlib.asynccontextmanager
async def roads(directory: Path) -> AsyncIterator[Roads]:
    """Build them, and wait until the camera is connected."""
    fleet = store.create(directory / "fleet", names=["localhost", FLEET], now=datetime.now(UTC))
    registry = Registry(fleet.registry_url)
    device = enrol(fleet, registry, "SN1")
    registry.close()
    config = device_config(fleet, device, directory, broker={"host": FLEET}, log={"level": "info"})
    with _networks() as (outside, home, away):
        async with _process(outside, "fleet", "serve", "--dir", str(fleet.directory)) as service:
            await service.says("gateway is connected")
            async with _process(home, "run", "--config", str(config)) as camera:
                await camera.says("connected to broker")
                yield Roads(outside=outside, home=home, away=away, fleet=fleet, device=device, camera=camera)


@contextlib.contextmanager
def _networks() -> Iterator[tuple[Namespace, Namespace, Namespace]]:
    with contextlib.ExitStack() as stack:
        outside, home, away = (stack.enter_context(namespace()) for _ in range(3))
        cable(home, outside, near_end="9.1.0.2/24", far_end=f"{FLEET}/24")
        cable(away, outside, near_end="9.2.0.2/24", far_end="9.2.0.1/24")
        home.ip("route", "add", "default", "via", FLEET)
        away.ip("route", "add", "default", "via", "9.2.0.1")
        with outside.entered():
            _FORWARD.write_text("1")
        yield outside, home, away


def _readdress(place: Namespace, outside: Namespace, *, device: str, before: str, after: str) -> float:
    router = after.rsplit(".", 1)[0] + ".1"
    outside.ip("address", "add", f"{router}/24", "dev", device)
    place.ip("address", "del", f"{before}/24", "dev", "eth0")
    place.ip("address", "add", f"{after}/24", "dev", "eth0")
    place.ip("route", "add", "default", "via", router)
    return time.time()


@contextlib.asynccontextmanager
async def _process(place: Namespace, *arguments: str, says: str = "") -> AsyncIterator[Process]:
    process = await asyncio.create_subprocess_exec(
        *place.command(sys.executable, "-m", "camward", *arguments),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        limit=1 << 20,
    )
    assert process.stdin is not None
    process.stdin.write(f"{says}\n".encode())
    running = Process(process)
    reading = asyncio.create_task(running.read())
    try:
        yield running
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()
        await reading

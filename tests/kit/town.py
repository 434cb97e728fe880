"""A camera and a viewer in networks of their own, a server with STUN and TURN between them, and a neighbour at home.

    viewer 9.2.0.2 ── 9.2.0.1 outside 9.1.0.1 ── eth0 9.1.0.2 camera 192.168.7.2 eth1 ── 192.168.7.9 neighbour
                                                      172.17.0.1 docker0

Addresses that anybody could have on the Internet, because `direct` and `relay` let a camera speak to no others.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import socket
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from playwright.async_api import async_playwright

from agent.config import NetworkConfig
from agent.webrtc.session import Terms
from protocol.ice import short_lived
from provisioning.store import Fleet
from tests.kit.coturn import SECRET, Coturn, coturn
from tests.kit.house import House
from tests.kit.link import Namespace, cable, namespace
from tests.kit.link_viewer import Viewer, viewer
from tests.kit.pki import make_fleet

CAMERA, SERVER, VIEWER = "9.1.0.2", "9.1.0.1", "9.2.0.2"
PRIVATE, NEIGHBOUR, CONTAINERS = "192.168.7.2", "192.168.7.9", "172.17.0.1"
_MDNS = "99 1 udp 2122260223 1f2e3d4c-aaaa-bbbb-cccc-1234567890ab.local 50000 typ host"


@dataclass(frozen=True, slots=True, kw_only=True)
class Town:
    """The networks. The thread that made it is at the camera's home."""

    home: Namespace
    outside: Namespace
    away: Namespace
    neighbour: Namespace
    server: Coturn
    fleet: Fleet


@contextlib.contextmanager
def town(directory: Path) -> Iterator[Town]:
    """Build it, and stand at the camera's home until the end."""
    with contextlib.ExitStack() as stack:
        home, outside, away, neighbour = (stack.enter_context(namespace()) for _ in range(4))
        cable(home, outside, near_end=f"{CAMERA}/24", far_end=f"{SERVER}/24")
        cable(away, outside, near_end=f"{VIEWER}/24", far_end="9.2.0.1/24")
        cable(home, neighbour, name="eth1", near_end=f"{PRIVATE}/24", far_end=f"{NEIGHBOUR}/24")
        cable(home, neighbour, name="docker0", near_end=f"{CONTAINERS}/24", far_end="172.17.0.2/24")
        home.ip("route", "add", "default", "via", SERVER)
        away.ip("route", "add", "default", "via", "9.2.0.1")
        with outside.entered():
            Path("/proc/sys/net/ipv4/ip_forward").write_text("1")
        fleet = make_fleet(directory / "fleet")
        server = stack.enter_context(coturn(SERVER, fleet, directory / "coturn", place=outside))
        stack.enter_context(home.entered())
        yield Town(home=home, outside=outside, away=away, neighbour=neighbour, server=server, fleet=fleet)


@dataclass
class Listeners:
    """Sockets that nobody has any business with."""

    sockets: list[socket.socket]

    def candidates(self) -> list[str]:
        """They as candidates in an offer."""
        return [
            f"{number} 1 udp 2122260223 {host} {port} typ host"
            for number, (host, port) in enumerate((one.getsockname() for one in self.sockets), 100)
        ]

    def heard(self) -> list[str]:
        """The addresses of those that got a packet."""
        found = []
        for one in self.sockets:
            with contextlib.suppress(BlockingIOError):
                one.recv(2048, socket.MSG_PEEK)
                found.append(one.getsockname()[0])
        return found

    async def have_heard(self) -> None:
        """Wait until each of them got a packet."""
        async with asyncio.timeout(20):
            while len(self.heard()) < len(self.sockets):
                await asyncio.sleep(0.01)


@contextlib.contextmanager
def listeners(*places: tuple[Namespace, str, int]) -> Iterator[Listeners]:
    """Listen at an address and a port of each of these networks; port 0 is any."""
    with contextlib.ExitStack() as stack:
        made = []
        for place, host, port in places:
            with place.entered():
                one = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
            one.setblocking(False)
            one.bind((host, port))
            made.append(one)
        yield Listeners(made)


@dataclass
class Visit:
    """A browser that called the camera, and what the camera said to it."""

    viewer: Viewer
    ended: asyncio.Future[str]
    answer: str = ""
    candidates: list[str] = field(default_factory=list)

    async def has_all(self) -> None:
        """Wait until the camera has said that no other candidate follows."""
        async with asyncio.timeout(20):
            while "" not in self.candidates:
                await asyncio.sleep(0.01)

    @property
    def said(self) -> str:
        return "\n".join([self.answer, *self.candidates])

    @property
    def kinds(self) -> set[str]:
        """Which kinds of candidate the camera offered."""
        return set(re.findall(r" typ (\w+)", self.said))


@contextlib.asynccontextmanager
async def visit(
    town: Town,
    house: House,
    network: NetworkConfig,
    directory: Path,
    also: Listeners,
    *,
    first: Listeners | None = None,
) -> AsyncIterator[Visit]:
    """Let a Chromium away from home call; its offer also names these listeners, and an mDNS name.

    It gets its answer when the `first` of them have been probed: a quick browser's check ends all others.
    """
    async with async_playwright() as playwright, viewer(playwright, town.away, directory) as browser:
        loop = asyncio.get_running_loop()
        heard: asyncio.Queue[str] = asyncio.Queue()
        answered: asyncio.Future[str] = loop.create_future()
        came = Visit(browser, loop.create_future())
        offer = await browser.offer()
        terms = Terms(
            sid=f"visit-{id(came)}",
            viewer="visitor",
            subject="visitor",
            scope=frozenset({"live"}),
            offer=offer + "".join(f"a=candidate:{candidate}\r\n" for candidate in [*also.candidates(), _MDNS]),
            setup_s=30.0,
            life_s=600.0,
            key=house.device.key,
            certificate=house.device.chain[0],
            full_bps=2_000_000,
            playout_delay_ms=0,
            network=network,
        )

        async def pass_on() -> None:
            came.answer = await answered
            if first is not None:
                await first.have_heard()
            await browser.accept(came.answer)
            while True:
                candidate = await heard.get()
                came.candidates.append(candidate)
                await browser.add_candidate(candidate)

        house.sessions.open(
            terms,
            answered=answered.set_result,
            found=lambda candidate, mid: heard.put_nowait(candidate),
            ended=came.ended.set_result,
        )
        passing = asyncio.create_task(pass_on())
        try:
            yield came
        finally:
            passing.cancel()
            await asyncio.gather(passing, return_exceptions=True)
            house.sessions.end(terms.sid, "shutdown")


def network(place: Town, directory: Path, mode: str, *ways: str, life_s: int = 600) -> NetworkConfig:
    """The camera's settings; its credential stands in a file, and ends after `life_s`."""
    made = short_lived(SECRET, name="camera", until_s=int(time.time()) + life_s)
    credential = directory / "turn.toml"
    credential.write_text(f'username = "{made.username}"\npassword = "{made.password}"\n')
    return NetworkConfig(
        addresses=mode,
        stun=(place.server.stun,),
        turn=tuple(place.server.turn(way) for way in ways),
        turn_ca=place.server.ca,
        turn_credential=credential,
    )

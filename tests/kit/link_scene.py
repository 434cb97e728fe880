"""One camera and two viewers, each behind a link of its own: the whole daemon, mosquitto, and two Chromiums."""

from __future__ import annotations

import asyncio
import contextlib
import sys
import time
from collections.abc import AsyncIterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiomqtt
from playwright.async_api import async_playwright

from protocol import jws, topics
from protocol.messages import Answer, Status
from protocol.names import Role
from provisioning.registry import Registry
from tests.kit.brokers import RunningBroker, make_fleet, mosquitto, next_message
from tests.kit.caller import Caller, Signer
from tests.kit.device import device_config
from tests.kit.link import Link, link, namespace
from tests.kit.link_path import Conditions, Counts
from tests.kit.link_viewer import Viewer, viewer
from tests.kit.pki import enrol, issue_leaf

WEAK = Conditions(rate_bps=2e6, delay_s=0.05, loss=0.02)
OPEN = Conditions(rate_bps=20e6, delay_s=0.05)
GOOD = Conditions(rate_bps=100e6, delay_s=0.005, queue_bytes=500_000)
WIDTH, HEIGHT, FPS, BITRATE_BPS = 1280, 720, 30, 4_000_000
_APP = "phone"


@dataclass
class Phone:
    """An app that calls one device over MQTT, each time as another viewer."""

    client: aiomqtt.Client
    device: str
    authoriser: Signer
    challenge: str

    async def call(self, sdp: str) -> str:
        """The SDP of the answer to an offer."""
        caller = Caller(device=self.device, authoriser=self.authoriser, reply=_APP)
        offer = caller.offer(challenge=self.challenge, grant=caller.grant(time.time()), sdp=sdp)
        await self.client.publish(topics.call(self.device), offer, qos=1)
        return Answer.parse(await _heard(self.client, topics.reply(self.device, _APP))).sdp


@dataclass
class Watching:
    """A viewer, its link, and what went into the link on the camera's side."""

    viewer: Viewer
    link: Link
    phone: Phone
    entered: list[tuple[float, Counts]] = field(default_factory=list)  # seconds since 1970

    async def call(self) -> float:
        """Call the camera, and give the time at which its answer was taken."""
        answer = await self.phone.call(await self.viewer.offer())
        await self.viewer.accept(answer)
        return time.time()

    async def write_down(self) -> None:
        """Count at the link ten times a second, until cancelled."""
        while True:
            _, to_far = self.link.counts()
            self.entered.append((time.time(), to_far))
            await asyncio.sleep(0.1)

    def offered_bps(self, begin_s: float, end_s: float) -> float:
        """How much the camera sent into the link, with IP headers."""
        (first_s, first), *_, (last_s, last) = self._between(begin_s, end_s)
        return (last.offered_bytes - first.offered_bytes) * 8 / (last_s - first_s)

    def dropped(self, begin_s: float, end_s: float) -> int:
        """How many packets found the link's queue full."""
        span = self._between(begin_s, end_s)
        return span[-1][1].dropped - span[0][1].dropped

    def queued_s(self, begin_s: float, end_s: float) -> float:
        """How long a packet waited in the link's queue at most."""
        return max(counts.longest_wait_s for _, counts in self._between(begin_s, end_s))

    def _between(self, begin_s: float, end_s: float) -> list[tuple[float, Counts]]:
        return [entry for entry in self.entered if begin_s <= entry[0] <= end_s]


@contextlib.asynccontextmanager
async def scene(directory: Path, weak_link: Conditions = WEAK) -> AsyncIterator[tuple[Watching, Watching]]:
    """The viewer behind the weak link, and the one behind the good link; neither has called yet.

    The camera's side, with broker and app, is where this task stands meanwhile.
    """
    async with contextlib.AsyncExitStack() as stack:
        home, *places = [stack.enter_context(namespace()) for _ in range(3)]
        links = [
            stack.enter_context(link(home, place, to_near=conditions, to_far=conditions))
            for place, conditions in zip(places, (weak_link, GOOD), strict=True)
        ]
        stack.enter_context(home.entered())
        # Threads of an earlier story would connect from where it stood.
        asyncio.get_running_loop().set_default_executor(stack.enter_context(ThreadPoolExecutor()))
        broker = await stack.enter_async_context(mosquitto(make_fleet(directory / "fleet"), apps=[_APP]))
        device = enrol(broker.fleet, Registry(broker.fleet.registry_url), "SN1")
        camera = {"width": WIDTH, "height": HEIGHT, "fps": FPS, "bitrate_bps": BITRATE_BPS}
        await stack.enter_async_context(_running(device_config(broker.fleet, device, directory, camera=camera)))
        phone = await stack.enter_async_context(_phone(broker, device.id))
        playwright = await stack.enter_async_context(async_playwright())
        weak, good = [
            Watching(await stack.enter_async_context(viewer(playwright, place, directory)), line, phone)
            for place, line in zip(places, links, strict=True)
        ]
        writing = [asyncio.create_task(watching.write_down()) for watching in (weak, good)]
        try:
            yield weak, good
        finally:
            for task in writing:
                task.cancel()
            await asyncio.gather(*writing, return_exceptions=True)


@contextlib.asynccontextmanager
async def _running(config: Path) -> AsyncIterator[None]:
    """The daemon as a process of its own, with a picture that fills its bitrate."""
    command = [sys.executable, "-m", "tests.kit.restless", "run", "--config", str(config)]
    process = await asyncio.create_subprocess_exec(*command)
    try:
        yield
    finally:
        process.terminate()
        await process.wait()


@contextlib.asynccontextmanager
async def _phone(broker: RunningBroker, device: str) -> AsyncIterator[Phone]:
    leaf = issue_leaf(broker.fleet, Role.AUTHORISER, "fleet")
    async with broker.client(Role.APP, _APP) as client:
        await client.subscribe(topics.every_status(), qos=1)
        await client.subscribe(topics.every_reply(_APP), qos=1)
        challenge = Status.parse(await _heard(client, topics.status(device))).challenge
        yield Phone(client, device, Signer(key=leaf.key, chain=list(leaf.chain)), challenge)


async def _heard(client: aiomqtt.Client, wanted: str) -> Mapping[str, Any]:
    """The payload of the next message on a topic."""
    while True:
        topic, message = await next_message(client, 15)
        if topic == wanted:
            return jws.peek(message).payload

"""camward as a sender: the real agent, enrolled, at a real mosquitto, called with signed offers as a viewer calls."""

from __future__ import annotations

import asyncio
import contextlib
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiomqtt

from benchmarks.child import Failed, Waiting
from protocol import jws, topics
from protocol.messages import Answer, Bye, Status
from protocol.names import Role
from provisioning.registry import Registry
from tests.kit.brokers import make_fleet, mosquitto
from tests.kit.caller import Caller, Signer
from tests.kit.device import device_config
from tests.kit.pki import enrol, issue_leaf

_APP = "benchmark"
_VIEWERS = 500
_PENDING = 100


class Agent:
    """The agent's process, and a caller at the broker."""

    def __init__(
        self, process: asyncio.subprocess.Process, client: aiomqtt.Client, device: str, authoriser: Signer
    ) -> None:
        self.pid = process.pid
        self._client = client
        self._device = device
        self._authoriser = authoriser
        self._challenge = ""
        self._challenged = asyncio.Event()
        self._answers = Waiting("camward")
        self._calls: dict[str, tuple[Caller, str]] = {}  # a key for each viewer, and its sid

    async def online(self) -> None:
        """Wait until it has said so."""
        await self._challenged.wait()

    async def answer(self, viewer: str, offer: str) -> str:
        """Call it, and give its answer. Errors: Failed."""
        caller = Caller(device=self._device, authoriser=self._authoriser, reply=_APP)
        call = caller.offer(challenge=self._challenge, grant=caller.grant(time.time()), sdp=offer)
        sid = jws.peek(call).payload["sid"]
        self._calls[viewer] = caller, sid
        self._answers.expect(sid)
        await self._client.publish(topics.call(self._device), call, qos=1)
        return str(await self._answers.get(sid))

    async def leave(self, viewer: str) -> None:
        """Tell it that a viewer has left."""
        caller, sid = self._calls.pop(viewer)
        bye = Bye(sid=sid, seq=0, reason="left")
        await self._client.publish(topics.call(self._device), caller.sign(bye), qos=1)

    async def listen(self) -> None:
        """Hear what it says, until cancelled."""
        async for message in self._client.messages:
            said = jws.peek(bytes(message.payload))
            if str(message.topic) == topics.status(self._device):
                status = Status.parse(said.payload)
                if status.presence == "online":
                    self._challenge = status.challenge
                    self._challenged.set()
            elif said.typ == jws.typ_of("answer"):
                answer = Answer.parse(said.payload)
                self._answers.came(answer.sid, answer.sdp)
            elif said.typ == jws.typ_of("bye"):
                bye = Bye.parse(said.payload)
                self._answers.failed(bye.sid, f"bye, {bye.reason}")


@contextlib.asynccontextmanager
async def agent_running(camera: dict[str, Any], folder: Path) -> AsyncIterator[Agent]:
    """Run `camward run` with this [camera] table, in a fleet of its own under `folder`. Errors: Failed."""
    async with mosquitto(make_fleet(folder / "fleet"), apps=[_APP]) as broker:
        enrolled = enrol(broker.fleet, Registry(broker.fleet.registry_url), "BENCHMARK")
        config = device_config(
            broker.fleet,
            enrolled,
            folder / "device",
            camera=camera | {"linger_s": 1.0},
            session={"max_viewers": _VIEWERS, "max_pending": _PENDING},
        )
        with (folder / "camward.log").open("ab") as log:
            process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "camward", "run", "--config", config, stdout=log, stderr=log
            )
        try:
            async with broker.client(Role.APP, _APP) as client:
                leaf = issue_leaf(broker.fleet, Role.AUTHORISER, "fleet")
                authoriser = Signer(key=leaf.key, chain=list(leaf.chain))
                await client.subscribe(topics.every_status(), qos=1)
                await client.subscribe(topics.every_reply(_APP), qos=1)
                agent = Agent(process, client, enrolled.id, authoriser)
                listening = asyncio.create_task(agent.listen())
                try:
                    async with asyncio.timeout(15):
                        await agent.online()
                except TimeoutError:
                    raise Failed(f"the agent did not come online, see {folder / 'camward.log'}") from None
                yield agent
                listening.cancel()
        finally:
            if process.returncode is None:
                process.terminate()
            await process.wait()

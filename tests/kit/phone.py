"""An app of its owner's: it calls a device over a real broker, and watches with a stock aiortc peer."""

from __future__ import annotations

import contextlib
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass

import aiomqtt

from protocol import jws, topics
from protocol.messages import Answer, Bye, Status
from protocol.names import Role
from tests.kit.brokers import RunningBroker, next_message
from tests.kit.caller import Caller, Signer
from tests.kit.pki import issue_leaf
from tests.kit.watcher import Watcher

APP = "phone"


_LIVE = frozenset({"live"})


@dataclass
class Phone:
    """An app that calls one device over MQTT, with a stock aiortc peer for the picture."""

    client: aiomqtt.Client
    caller: Caller
    watcher: Watcher

    async def status(self) -> Status:
        while True:
            topic, payload = await next_message(self.client)
            if topic == topics.status(self.caller.device):
                return Status.parse(jws.peek(payload).payload)

    async def reply(self) -> Answer | Bye:
        while True:
            topic, payload = await next_message(self.client)
            if topic == topics.reply(self.caller.device, self.caller.reply):
                message = jws.peek(payload)
                return (Answer if message.typ == jws.typ_of("answer") else Bye).parse(message.payload)

    async def call(self, *, challenge: str, camera: str = "", scope: frozenset[str] = _LIVE) -> Answer | Bye:
        grant = self.caller.grant(time.time(), scope=scope)
        sdp = await self.watcher.offer()
        offer = self.caller.offer(challenge=challenge, grant=grant, sdp=sdp, camera=camera)
        await self.client.publish(topics.call(self.caller.device), offer, qos=1)
        return await self.reply()

    async def watch(self, camera: str = "") -> Answer:
        """Call and see the picture."""
        answer = await self.call(challenge=(await self.status()).challenge, camera=camera)
        assert isinstance(answer, Answer)
        await self.watcher.accept(answer.sdp)
        await self.watcher.see(3)
        return answer

    async def leave(self, answer: Answer) -> None:
        """Say bye."""
        bye = self.caller.sign(Bye(sid=answer.sid, seq=0, reason="left"))
        await self.client.publish(topics.call(self.caller.device), bye, qos=1)


@contextlib.asynccontextmanager
async def phone_of(broker: RunningBroker, device: str, name: str = APP) -> AsyncIterator[Phone]:
    """Connect an app that may watch `device`; the broker lets in whom it was started for."""
    authoriser = issue_leaf(broker.fleet, Role.AUTHORISER, "fleet")
    caller = Caller(device=device, authoriser=Signer(key=authoriser.key, chain=list(authoriser.chain)), reply=name)
    async with broker.client(Role.APP, name) as client:
        await client.subscribe(topics.every_status(), qos=1)
        await client.subscribe(topics.every_reply(name), qos=1)
        phone = Phone(client, caller, Watcher())
        yield phone
        await phone.watcher.close()

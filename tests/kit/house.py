"""Sessions with real peer connections, and the viewers that a test lets in."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from agent.config import SessionConfig
from agent.media.access_unit import AccessUnit
from agent.media.stream import Stream
from agent.webrtc.session import Move, Session, Terms
from agent.webrtc.sessions import Sessions
from tests.kit.caller import Signer
from tests.kit.watcher import Watcher


@dataclass
class Call:
    """One viewer's way through the sessions."""

    sid: str
    watcher: Watcher = field(default_factory=Watcher)
    answer: asyncio.Future[str] = field(default_factory=lambda: asyncio.get_running_loop().create_future())
    found: list[str] = field(default_factory=list)  # the candidates that were not in the answer
    ended: asyncio.Future[str] = field(default_factory=lambda: asyncio.get_running_loop().create_future())

    async def until(self, reached: Callable[[], bool], within_s: float = 15.0) -> None:
        """Wait until something is true. Errors: TimeoutError."""
        async with asyncio.timeout(within_s):
            while not reached():
                await asyncio.sleep(0.01)


@dataclass
class Moved:
    """The other connection of a viewer who moves."""

    watcher: Watcher = field(default_factory=Watcher)
    answer: asyncio.Future[str] = field(default_factory=lambda: asyncio.get_running_loop().create_future())

    async def accept(self) -> None:
        """Take the camera's answer; pictures follow."""
        await self.watcher.accept(await self.answer)


class House:
    """Sessions of one device, and all that called it."""

    def __init__(self, sessions: Sessions, device: Signer) -> None:
        self.sessions = sessions
        self.calls: list[Call] = []
        self.moved: list[Moved] = []
        self.device = device

    async def call(
        self,
        sid: str,
        *,
        watcher: Watcher | None = None,
        codec: str = "video/H264",
        change: Callable[[str], str] = str,
        viewer: str = "",
        subject: str = "somebody",
        scope: frozenset[str] = frozenset({"live"}),
        **terms: object,
    ) -> Call:
        """Open a session; `change` changes the offer on its way, `viewer` is the key that calls."""
        call = Call(sid, watcher or Watcher())
        self.calls.append(call)
        defaults = {"setup_s": 15.0, "life_s": 600.0, "full_bps": 2_000_000, "playout_delay_ms": 0}
        self.sessions.open(
            Terms(
                sid=sid,
                viewer=viewer or sid,
                subject=subject,
                scope=scope,
                offer=change(await call.watcher.offer(codec)),
                key=self.device.key,
                certificate=self.device.chain[0],
                **(defaults | terms),  # type: ignore[arg-type]
            ),
            answered=call.answer.set_result,
            found=lambda candidate, mid: call.found.append(candidate),
            ended=call.ended.set_result,
        )
        return call

    async def connect(
        self, sid: str, *, watcher: Watcher | None = None, change: Callable[[str], str] = str, **terms: object
    ) -> Call:
        """Open a session, and wait until it stands on both sides."""
        call = await self.call(sid, watcher=watcher, change=change, **terms)
        await call.watcher.accept(await call.answer)
        async with asyncio.timeout(15):
            while not self.session(sid).connected or call.watcher.peer.connectionState != "connected":
                await asyncio.sleep(0.005)
        return call

    async def watch(
        self,
        sid: str,
        *,
        watcher: Watcher | None = None,
        viewer: str = "",
        subject: str = "somebody",
        **terms: object,
    ) -> Call:
        """Open a session, and wait for its first pictures."""
        call = await self.call(sid, watcher=watcher, viewer=viewer, subject=subject, **terms)
        await call.watcher.accept(await call.answer)
        await call.watcher.see(3)
        return call

    async def move(self, call: Call, *, change: Callable[[str], str] = str) -> Moved:
        """Have a viewer offer another connection in its session; it takes the answer when it `accept`s it."""
        moved = Moved()
        self.moved.append(moved)
        to = Move(offer=change(await moved.watcher.offer()), key=self.device.key, certificate=self.device.chain[0])
        self.sessions.move(call.sid, to, answered=moved.answer.set_result, found=lambda candidate, mid: None)
        return moved

    def session(self, sid: str) -> Session:
        """Give the device's side of an open session."""
        return self.sessions._open[sid][0]


@asynccontextmanager
async def open_house(stream: Stream, device: Signer) -> AsyncIterator[House]:
    """Let two viewers in, and nobody stay."""
    config = SessionConfig(max_viewers=2, max_pending=2)
    house = House(Sessions(config, {"": stream}, now=time.monotonic, on_change=lambda: None), device)
    try:
        yield house
    finally:
        await house.sessions.end_all("shutdown")
        for one in (*house.calls, *house.moved):
            await one.watcher.close()


@dataclass
class Recorded:
    """A house whose camera plays what it is told."""

    stream: Stream
    house: House

    async def play(self, units: Iterable[AccessUnit], *, every_s: float = 0.015) -> None:
        """Publish some pictures, at an even pace."""
        for unit in units:
            self.stream.publish(unit, time.monotonic())
            await asyncio.sleep(every_s)

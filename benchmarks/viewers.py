"""The one receiver of all senders: as many viewers as are wanted, in one process that never decodes."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.child import Child, Failed, Waiting

_KEYFRAME_S = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """What one viewer got in the measured time."""

    packets: int
    lost: int  # packets that came neither at first nor later
    frames: int
    fps: float


class Viewers:
    """Drives the receiver."""

    def __init__(self) -> None:
        self._child = Child("receiver", self._hear)
        self._offers = Waiting("offer")
        self._connected = Waiting("connection")
        self._keyframes = Waiting("first keyframe")
        self._windows = Waiting("window")

    @property
    def pid(self) -> int:
        """Its process."""
        return self._child.pid

    async def offer(self, viewer: str, *, bare: bool) -> str:
        """Make a viewer, and give its offer; a bare one is a socket without ICE and DTLS. Errors: Failed."""
        self._offers.expect(viewer)
        self._connected.expect(viewer)
        self._keyframes.expect(viewer)
        self._child.say(op="sink" if bare else "open", id=viewer)
        return str(await self._offers.get(viewer))

    def answer(self, viewer: str, sdp: str) -> None:
        """Give a viewer the sender's answer."""
        self._child.say(op="answer", id=viewer, sdp=sdp)

    async def connected(self, viewer: str) -> float:
        """Wait until DTLS stands; milliseconds since the offer was handed out. Errors: Failed."""
        return float(await self._connected.get(viewer))

    async def keyframe_ms(self, viewer: str) -> float:
        """Wait for the first whole keyframe; milliseconds since the offer was handed out. Errors: Failed."""
        return float(await self._keyframes.get(viewer, _KEYFRAME_S))

    def close(self, viewer: str) -> None:
        """Let a viewer leave."""
        self._child.say(op="close", id=viewer)

    async def window(self, seconds: float) -> dict[str, Window]:
        """Measure for so long. Errors: Failed."""
        self._windows.expect("all")
        self._child.say(op="begin")
        await asyncio.sleep(seconds)
        self._child.say(op="end")
        figures = await self._windows.get("all")
        return {one.pop("id"): Window(**one) for one in figures}

    def _hear(self, line: dict[str, Any]) -> None:
        if "window" in line:
            self._windows.came("all", line["window"])
        elif "offer" in line:
            self._offers.came(line["id"], line["offer"])
        elif line["event"] == "connected":
            self._connected.came(line["id"], line["ms"])
        elif line["event"] == "keyframe":
            self._keyframes.came(line["id"], line["ms"])
        elif line["event"] in {"error", "failed", "disconnected"}:
            for waiting in (self._offers, self._connected, self._keyframes):
                waiting.failed(line["id"], line.get("why", line["event"]))


@contextlib.asynccontextmanager
async def receiving(program: Path, srtp: str, log: Path) -> AsyncIterator[Viewers]:
    """Run the receiver, for one SRTP profile."""
    viewers = Viewers()
    await viewers._child.start([program, own_address(), srtp], log)
    try:
        yield viewers
    finally:
        await viewers._child.stop()


def own_address() -> str:
    """Say which IPv4 address of this machine all go through: ICE in Python passes 127.0.0.1 over. Errors: Failed."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("203.0.113.1", 9))  # nothing is sent: it only asks for the route
        except OSError:
            raise Failed("no route: give the machine an address, as in  ip addr add 10.99.0.1/24 dev lo") from None
        return str(probe.getsockname()[0])

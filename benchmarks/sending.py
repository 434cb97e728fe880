"""The senders that are compared: started alike, called alike, and measured as processes."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any, Final, Protocol

from benchmarks.agent_sending import agent_running
from benchmarks.child import Child, Waiting
from benchmarks.materials import SENDERS, Materials
from benchmarks.viewers import own_address

_PEERS: Final[dict[str, Callable[[Materials], list[str | Path]]]] = {
    "aiortc": lambda made: [sys.executable, SENDERS / "aiortc" / "main.py", made.annexb],
    "pion": lambda made: [made.pion, made.annexb, own_address()],
    "libdatachannel": lambda made: ["node", made.node / "main.mjs", made.annexb, own_address()],
    "gstreamer": lambda made: ["/usr/bin/python3", SENDERS / "gstreamer" / "main.py", made.mp4],
    "floor": lambda made: [sys.executable, SENDERS / "floor" / "main.py", made.annexb],
}
NAMES: Final = ("camward", *_PEERS)
WITHOUT_GCM: Final = frozenset({"gstreamer"})
BARE: Final = frozenset({"floor"})


class Sender(Protocol):
    """What is measured: one process."""

    @property
    def pid(self) -> int:
        """Its process."""

    async def answer(self, viewer: str, offer: str) -> str:
        """Call it, and give its answer. Errors: Failed."""

    async def leave(self, viewer: str) -> None:
        """Tell it that a viewer has left."""


class Peer:
    """A sender that is driven by JSON lines."""

    def __init__(self, name: str) -> None:
        self.child = Child(name, self._hear)
        self._answers = Waiting(name)

    @property
    def pid(self) -> int:
        """Its process."""
        return self.child.pid

    async def start(self, command: list[str | Path], log: Path) -> None:
        """Start it, and wait until it plays. Errors: Failed."""
        self._answers.expect("ready")
        await self.child.start(command, log)
        await self._answers.get("ready")

    async def answer(self, viewer: str, offer: str) -> str:
        """Call it, and give its answer. Errors: Failed."""
        self._answers.expect(viewer)
        self.child.say(op="offer", id=viewer, sdp=offer)
        return str(await self._answers.get(viewer))

    async def leave(self, viewer: str) -> None:
        """Tell it that a viewer has left."""
        self.child.say(op="leave", id=viewer)

    def _hear(self, line: dict[str, Any]) -> None:
        if "ready" in line:
            self._answers.came("ready", True)
        else:
            self._answers.came(line["id"], line["answer"])


@contextlib.asynccontextmanager
async def sending(name: str, made: Materials, folder: Path) -> AsyncIterator[Sender]:
    """Run a sender, ready for its first call; its files and its log go to `folder`."""
    if name == "camward":
        camera = {"source": f"clip:{made.mp4}", "width": 1920, "height": 1080, "bitrate_bps": 4_000_000}
        async with agent_running(camera, folder) as agent:
            yield agent
        return
    peer = Peer(name)
    await peer.start(_PEERS[name](made), folder / f"{name}.log")
    try:
        yield peer
    finally:
        await peer.child.stop()

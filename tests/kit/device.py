"""The whole device in the test's own process: the real daemon, enrolled, with a test pattern for its camera."""

from __future__ import annotations

import asyncio
import contextlib
import json
import shutil
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agent.config_file import load
from agent.daemon import Daemon
from agent.webrtc.session import Terms
from provisioning.store import Fleet
from tests.kit.pki import EnrolledDevice


def device_config(fleet: Fleet, device: EnrolledDevice, directory: Path, **tables: dict[str, Any]) -> Path:
    """Write agent.toml for an enrolled device: its identity copied, a small test pattern, a short linger."""
    identity = directory / "identity"
    identity.mkdir(mode=0o700, parents=True)
    shutil.copy(device.birth.path, identity / "birth.pem")
    shutil.copy(device.operational.path, identity / "operational.pem")
    document: dict[str, dict[str, Any]] = {
        "identity": {
            "root": str(fleet.directory / "root.pem"),
            "est": f"https://localhost:{fleet.ports.https}",
            "directory": str(identity),
        },
        "broker": {"host": "localhost", "port": fleet.ports.broker},
        "camera": {"source": "pattern", "width": 320, "height": 180, "linger_s": 0.5},
    }
    for name, table in tables.items():
        document[name] = document.get(name, {}) | table
    lines = [
        f"[{name}]\n" + "".join(f"{key} = {json.dumps(value)}\n" for key, value in table.items())
        for name, table in document.items()
    ]
    path = directory / "agent.toml"
    path.write_text("\n".join(lines))
    return path


@dataclass
class RunningDevice:
    """A daemon that runs, and how to end it as a signal does."""

    daemon: Daemon
    stop: asyncio.Event
    task: asyncio.Task[None]
    opened: int = 0  # peer connections made so far

    @property
    def sessions(self) -> int:
        return len(self.daemon._sessions)

    @property
    def refused(self) -> int:
        """How many messages on the call topic came to nothing."""
        return self.daemon._calls.refused.total()

    @property
    def cameras(self) -> dict[str, str]:
        """The state of each camera."""
        return {channel.name: channel.camera.state for channel in self.daemon._channels}

    @property
    def camera(self) -> str:
        """The state of the only one."""
        return self.cameras[""]


@contextlib.asynccontextmanager
async def running(config: Path) -> AsyncIterator[RunningDevice]:
    """Run the daemon; at the end it has closed as on SIGTERM."""
    stop = asyncio.Event()
    daemon = Daemon(load(config))
    device = RunningDevice(daemon, stop, asyncio.create_task(daemon.run(stop)))
    make = daemon._sessions.open

    def count(terms: Terms, **callbacks: Callable[[str], None]) -> None:
        device.opened += 1
        make(terms, **callbacks)

    daemon._sessions.open = count  # type: ignore[method-assign]  # counts, and does the same
    try:
        yield device
    finally:
        stop.set()
        await device.task

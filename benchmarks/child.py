"""A program that speaks JSON lines on its standard streams, and what it costs."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

_ANSWER_S: Final = 15.0
_END_S: Final = 5.0


class Failed(Exception):
    """A program did not do what it was asked to; the message says which."""


def cpu_s(pid: int) -> float:
    """CPU seconds of a process, user and system, of all its threads, with those that have ended.

    It is the sum that /proc/PID/stat shows in steps of 10 ms, read from the process's own clock: CPUCLOCK_SCHED of
    linux/posix-timers.h.
    """
    return time.clock_gettime(~pid << 3 | 2)


def rss_mb(pid: int) -> float:
    """Resident memory of a process, in units of 1,000,000 bytes."""
    found = re.search(r"VmRSS:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    return int(found[1]) * 1024 / 1e6 if found else 0.0


class Child:
    """A running program; every line that it says goes to `hear`."""

    def __init__(self, name: str, hear: Callable[[dict[str, Any]], None]) -> None:
        self.name = name
        self._hear = hear
        self._process: asyncio.subprocess.Process | None = None
        self._listening: asyncio.Task[None] | None = None

    @property
    def pid(self) -> int:
        """Its process, once started."""
        assert self._process is not None
        return self._process.pid

    async def start(self, command: Sequence[str | Path], log: Path) -> None:
        """Start it; what it writes to its standard error goes to `log`."""
        with log.open("ab") as errors:
            self._process = await asyncio.create_subprocess_exec(
                *command, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=errors, limit=1 << 20
            )
        self._listening = asyncio.create_task(self._listen(self._process.stdout))

    def say(self, **line: Any) -> None:
        """Send it one line."""
        assert self._process is not None
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(line).encode() + b"\n")

    async def stop(self) -> None:
        """End its input, and it; harmless twice."""
        if self._process is None or self._listening is None:
            return
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            async with asyncio.timeout(_END_S):
                await self._process.wait()
        except TimeoutError:
            self._process.kill()
            await self._process.wait()
        self._listening.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._listening

    async def _listen(self, lines: asyncio.StreamReader | None) -> None:
        assert lines is not None
        while line := await lines.readline():
            try:
                said = json.loads(line)
            except json.JSONDecodeError:
                raise Failed(f"{self.name} said {line!r}") from None
            self._hear(said)


class Waiting:
    """Answers that are on their way, by name."""

    def __init__(self, of: str) -> None:
        self._of = of
        self._futures: dict[str, asyncio.Future[Any]] = {}

    def expect(self, name: str) -> asyncio.Future[Any]:
        """Get ready for an answer before its question is put."""
        return self._futures.setdefault(name, asyncio.get_running_loop().create_future())

    def came(self, name: str, answer: Any) -> None:
        """Hand an answer over; one that nobody waits for is passed over."""
        if (future := self._futures.get(name)) and not future.done():
            future.set_result(answer)

    def failed(self, name: str, why: str) -> None:
        """Let the one who waits fail."""
        if (future := self._futures.get(name)) and not future.done():
            future.set_exception(Failed(f"{self._of}: {name}: {why}"))
            future.exception()  # nobody need wait for it

    async def get(self, name: str, within_s: float = _ANSWER_S) -> Any:
        """Wait for an answer. Errors: Failed."""
        try:
            async with asyncio.timeout(within_s):
                return await self.expect(name)
        except TimeoutError:
            raise Failed(f"{self._of}: nothing came for {name}") from None
        finally:
            self._futures.pop(name, None)

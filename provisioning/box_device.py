"""The device of the fleet in a box: `camward enroll`, then `camward run`, each a process of its own."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final

from provisioning.files import FleetError

_ENROLL_S: Final = 60.0
_STOP_S: Final = 3.0
_FIRST_RETRY_S: Final = 1.0
_LONGEST_RETRY_S: Final = 30.0
_PERMANENT: Final = frozenset({2, 3})  # of `camward run`: wrong configuration, not enrolled
_LONGEST_LINE: Final = 64 * 1024
_LOG_LINE: Final = re.compile(r"\d\d:\d\d:\d\d (?P<level>\w+) (?P<name>\S+): (?P<text>.*)")


class DeviceProcess:
    """The device that the file `config` describes. `say` gets what a person wants to know of its log, or all of it."""

    def __init__(self, config: Path, *, say: Callable[[str], None], verbose: bool) -> None:
        self._config, self._say, self._verbose = config, say, verbose
        self._last = ""

    async def enroll(self, serial: str, code: str) -> None:
        """Give it an identity; the code goes over standard input. Errors: FleetError."""
        process = await self._start("enroll", "--serial", serial)
        try:
            async with asyncio.timeout(_ENROLL_S):
                out, _ = await process.communicate(f"{code}\n".encode())
        except TimeoutError as error:
            raise FleetError(f"the device did not enrol within {_ENROLL_S:.0f} s") from error
        finally:
            await _end(process)
        lines = out.decode(errors="replace").strip().splitlines()
        if process.returncode:
            raise FleetError(f"the device could not enrol: {_plain(lines[-1]) if lines else 'it did not say why'}")

    async def run(self) -> None:
        """Run it until cancelled, again whenever it dies. Errors: FleetError when it says that trying is of no use."""
        retry_s = _FIRST_RETRY_S
        while True:
            self._last = "it did not say why"
            started_at = asyncio.get_running_loop().time()
            process = await self._start("run", "--until-eof")
            try:
                await self._follow(process)
                code = await process.wait()
            finally:
                await _end(process)
            if code in _PERMANENT:
                raise FleetError(f"the device does not run: {self._last}")
            if asyncio.get_running_loop().time() - started_at > _LONGEST_RETRY_S:
                retry_s = _FIRST_RETRY_S
            self._say(f"device: ended ({self._last}); it starts again in {retry_s:.0f} s")
            await asyncio.sleep(retry_s)
            retry_s = min(retry_s * 2, _LONGEST_RETRY_S)

    async def _start(self, command: str, *arguments: str) -> asyncio.subprocess.Process:
        # A session of its own: Ctrl-C reaches the demo, which ends the device while the broker still carries its byes.
        # Standard input ends with us, however we end, and with it the device.
        return await asyncio.create_subprocess_exec(
            sys.executable,
            *("-m", "camward", command, "--config", str(self._config), *arguments),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            start_new_session=True,
            limit=_LONGEST_LINE,
            env={name: value for name, value in os.environ.items() if name not in {"NOTIFY_SOCKET", "WATCHDOG_USEC"}},
        )

    async def _follow(self, process: asyncio.subprocess.Process) -> None:
        assert process.stdout is not None  # noqa: S101  # it is a pipe
        with contextlib.suppress(ValueError):  # a line above the limit: its log is not read on, the device runs on
            async for raw in process.stdout:
                line = raw.decode(errors="replace").rstrip()
                if line:
                    self._last = _plain(line)
                    if self._verbose or _worth_telling(line):
                        self._say(f"device: {line if self._verbose else self._last}")


def _worth_telling(line: str) -> bool:
    parts = _LOG_LINE.fullmatch(line)
    return parts is not None and (parts["level"] != "info" or parts["name"].startswith("agent.capture"))


def _plain(line: str) -> str:
    parts = _LOG_LINE.fullmatch(line)
    return parts["text"] if parts else line.removeprefix("camward: ")


async def _end(process: asyncio.subprocess.Process) -> None:
    """End a child, gently at first."""
    if process.returncode is not None:
        return
    with contextlib.suppress(ProcessLookupError):
        process.terminate()
    try:
        async with asyncio.timeout(_STOP_S):
            await process.wait()
    except TimeoutError:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()

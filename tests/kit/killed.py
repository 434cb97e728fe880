"""Ends a process with SIGKILL at the n-th step that its disk or its network sees.

A small server (this module, run by itself) forks a process for each piece of work, so that one starts in milliseconds.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import functools
import http.client
import os
import pickle
import signal
import subprocess
import sys
import traceback
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final

from agent.config import IdentityConfig
from agent.identity.clock import utc_now
from agent.identity.renewal import Renewal

Step = Callable[[str, tuple[Any, ...]], None]
_STEPS: Final[Sequence[tuple[Any, str]]] = (
    *((os, name) for name in ("mkdir", "open", "fchmod", "write", "fsync", "close", "replace", "unlink")),
    (fcntl, "flock"),
    (http.client.HTTPConnection, "request"),
    (http.client.HTTPConnection, "getresponse"),
    (http.client.HTTPResponse, "read"),
)
_write: Final = os.write


def renew(config: IdentityConfig) -> None:
    """Renew as a program of its own."""
    asyncio.run(Renewal(config).renew(utc_now()))


def run_and_die_at(step: int, work: Callable[..., object], *arguments: object) -> bool:
    """Run `work` in another process, and kill it just before its step number `step`, or half way through a write.

    Gives False when the work came to its end.
    """
    server = _server()
    assert server.stdin
    assert server.stdout
    pickle.dump((step, work, arguments), server.stdin)
    server.stdin.flush()
    exit_code = int(server.stdout.readline())
    if exit_code not in (0, -signal.SIGKILL):
        raise RuntimeError(f"the process ended by itself with {exit_code}")
    return exit_code != 0


@contextlib.contextmanager
def watching(step: Step) -> Iterator[None]:
    """Call `step` with the name and the arguments of every step, just before it is done."""
    originals = [(place, name, getattr(place, name)) for place, name in _STEPS]
    for place, name, original in originals:

        @functools.wraps(original)
        def watched(*given: Any, _name: str = name, _original: Callable[..., Any] = original, **named: Any) -> Any:
            step(_name, given)
            return _original(*given, **named)

        setattr(place, name, watched)
    try:
        yield
    finally:
        for place, name, original in originals:
            setattr(place, name, original)


@functools.cache
def _server() -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "tests.kit.killed"]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)  # ends with its standard input


def _serve() -> None:
    with contextlib.suppress(EOFError):
        while True:
            step, work, arguments = pickle.load(sys.stdin.buffer)  # noqa: S301  # from the test that started this
            process = os.fork()
            if process == 0:
                os._exit(_work(step, work, arguments))
            _, status = os.waitpid(process, 0)
            print(os.waitstatus_to_exitcode(status), flush=True)  # noqa: T201  # the answer to the test


def _work(step: int, work: Callable[..., object], arguments: Sequence[object]) -> int:
    left = step

    def count(name: str, given: tuple[Any, ...]) -> None:
        nonlocal left
        left -= 1
        if left == 0:
            if name == "write":
                _write(given[0], bytes(given[1])[: len(given[1]) // 2])
            os.kill(os.getpid(), signal.SIGKILL)

    try:
        with watching(count):
            work(*arguments)
    except BaseException:  # noqa: BLE001  # it is shown, and the exit code tells
        traceback.print_exc()
        return 1
    return 0


if __name__ == "__main__":
    _serve()

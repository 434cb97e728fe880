"""The device's commands: enroll, run and probe."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import getpass
import os
import signal
import sys
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from agent.capture.source import CaptureError
from agent.config import Config, ConfigError
from agent.config_file import load
from agent.identity import clock
from agent.identity.enroll import enroll as enroll_device
from agent.identity.errors import EnrollmentError
from agent.identity.est import EstClient
from agent.identity.hardware import hardware_serial
from agent.panel.panel import PanelError
from agent.service import log, memory
from agent.service.credentials import CredentialError, read_credential
from protocol.printable import printable

DEFAULT_CONFIG: Final = Path("/etc/camward/agent.toml")
CLOCK_WAIT_S: Final = 60.0
EXIT_S = 13.0  # after the signal; systemd kills at 15 (TimeoutStopSec=)
RELEASED: Final = datetime(2026, 11, 22, tzinfo=UTC)  # of this version: no clock that is right can be before it

OK: Final = 0
FAULT: Final = 1
USAGE: Final = 2
NOT_ENROLLED: Final = 3
NO_CLOCK: Final = 4
_CODES: Final = "exit codes: 0 well, 1 a fault, 2 wrong usage or configuration, 3 not enrolled, 4 the clock is not set"


def run(argv: list[str]) -> int:
    """`camward run`: serve until SIGTERM or SIGINT. Returns the exit code."""
    parser = _parser(
        "run", "Serve this device: be called over MQTT, capture, stream.", "camward run --config agent.toml"
    )
    parser.add_argument("--until-eof", action="store_true", help="end as well when standard input ends")
    arguments = parser.parse_args(argv)

    def serve() -> None:
        config = _load(arguments.config)
        memory.use_one_arena()
        asyncio.run(_serve(config, until_eof=arguments.until_eof))

    return _exit_code(serve)


def enroll(argv: list[str]) -> int:
    """`camward enroll`: redeem a claim for this device's certificates. Returns the exit code."""
    parser = _parser(
        "enroll",
        "Make this device's keys and have the fleet certify them. Safe to repeat, also after a crash.\n"
        "The one-time code comes from the systemd credential `claim`, else from standard input.",
        "camward enroll --config agent.toml --serial SN42",
    )
    parser.add_argument("--serial", help="the hardware serial of the claim (default: the board's own)")
    arguments = parser.parse_args(argv)

    def redeem() -> None:
        config = _load(arguments.config)
        serial = arguments.serial or hardware_serial()
        code = read_credential("claim") or _ask_for_code(serial)
        now = asyncio.run(_plausible_time(config))
        identity = enroll_device(config.identity, serial, code, now)
        print(f"enrolled as {identity.device_id}, until {identity.operational.not_valid_after_utc:%F}")

    return _exit_code(redeem)


def probe(argv: list[str]) -> int:
    """`camward probe`: say what this board is, and what the agent would take. Returns the exit code."""
    parser = _parser(
        "probe",
        "Say what this board is and has, which camera and encoder the agent would take and why, and what to do where\n"
        "something is missing. Changes nothing; a camera that streams is not disturbed.",
        "camward probe\n  camward probe --quick                  without encoding a second with each encoder\n"
        "  camward probe --json | jq .choice      for scripts: docs/reference/probe.md",
        codes="exit codes: 0 a real camera would be taken, 1 none, 2 wrong usage",
    )
    parser.add_argument("--json", action="store_true", help="print JSON instead of a page")
    parser.add_argument("--quick", action="store_true", help="encode nothing")
    arguments = parser.parse_args(argv)
    from agent.probe.command import run as run_probe  # PyAV takes its time: not for the other commands' help

    real = run_probe(arguments.config, as_json=arguments.json, quick=arguments.quick, released=RELEASED)
    return OK if real else FAULT


def _exit_code(call: Callable[[], None]) -> int:
    try:
        call()
    except Exception as error:
        cause = error
        while isinstance(cause, ExceptionGroup):
            cause = cause.exceptions[0]  # the part that failed first; the others ended with it
        if (code := _code_of(cause)) is None:
            raise
        print(f"camward: {printable(str(cause))}", file=sys.stderr)
        return code
    return OK


def _code_of(error: Exception) -> int | None:
    match error:
        case ConfigError() | CredentialError():
            return USAGE
        case clock.ClockError():
            return NO_CLOCK
        case EnrollmentError():
            return FAULT if error.temporary else NOT_ENROLLED
        case CaptureError() | PanelError():
            return FAULT
    return None


async def _serve(config: Config, *, until_eof: bool) -> None:
    from agent.daemon import Daemon  # aiortc and PyAV take a second on a small board: not before they are needed

    await _plausible_time(config)
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, _leave, stop)
    if until_eof:
        threading.Thread(target=_wait_for_eof, args=(loop, stop), name="until-eof", daemon=True).start()
    daemon = Daemon(config)
    memory.settle()
    await daemon.run(stop)


def _wait_for_eof(loop: asyncio.AbstractEventLoop, stop: asyncio.Event) -> None:
    # Not sys.stdin: the interpreter wants its lock at the end, and a thread that still reads would hold it.
    with contextlib.suppress(OSError):
        while os.read(0, 4096):
            pass
    loop.call_soon_threadsafe(_leave, stop)


def _leave(stop: asyncio.Event) -> None:
    """End the daemon, and the process at EXIT_S whatever still hangs in a thread: a name, a server that stalls."""
    stop.set()
    last = threading.Timer(EXIT_S, _exit_anyway)
    last.daemon = True
    last.start()


def _exit_anyway() -> None:
    print(f"camward: still not closed after {EXIT_S:g} s; what hangs is left behind", file=sys.stderr, flush=True)
    os._exit(FAULT)


async def _plausible_time(config: Config) -> datetime:
    last_good = clock.LastGood.of(config.identity).read()
    floor = clock.floor(released=RELEASED, last_good=last_good, certificates=[EstClient(config.identity).root])
    return await clock.wait_until_plausible(floor, CLOCK_WAIT_S)


def _load(path: Path) -> Config:
    config = load(path)
    log.set_up(config.log)
    return config


def _ask_for_code(serial: str) -> str:
    if sys.stdin is None:  # closed by whoever started this
        return ""
    try:
        if sys.stdin.isatty():
            return getpass.getpass(f"one-time code for {serial}: ").strip()
        return sys.stdin.readline().strip()
    except EOFError as error:
        raise CredentialError("no one-time code was given") from error
    except UnicodeDecodeError:  # not chained: the cause carries what was typed
        raise CredentialError("the one-time code on standard input is not plain text") from None


def _parser(name: str, description: str, example: str, codes: str = _CODES) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=f"camward {name}",
        description=description,
        epilog=f"example:\n  {example}\n\n{codes}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--config", type=Path, default=DEFAULT_CONFIG, metavar="FILE", help=f"default: {DEFAULT_CONFIG}"
    )
    return parser

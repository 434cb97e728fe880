"""The fleet's commands: `camward fleet ...` and `camward demo`."""

from __future__ import annotations

import argparse
import asyncio
import logging
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from sqlalchemy.exc import DBAPIError

from protocol.printable import printable, to_stderr
from provisioning import commands
from provisioning.commands import FAULT, OK, clock_line
from provisioning.errors import RegistryError
from provisioning.files import FleetError
from provisioning.people import PeopleError

_EXAMPLES: Final = """\
examples:
  camward fleet init --host camera.example             make a fleet in ./fleet
  camward fleet claim --serial SN42 --label Door       a one-time code for one device
  camward fleet grant anna --device all                a code for anna to sign in with
  camward fleet grant recorder --device all --app      a certificate for an application
  camward fleet serve                                  enrolment, page, gateway and broker
  camward fleet devices --json
  camward fleet withdraw anna
  camward fleet revoke DEVICE-ID
"""

_DEMO_EXAMPLES: Final = """\
examples:
  camward demo
  camward demo --source clip:holiday.mp4
  camward demo --source door=pattern --source garden=clip:garden.mp4
  camward demo --host 192.0.2.7
"""


def fleet(argv: list[str]) -> int:
    """`camward fleet`: make, change and serve a fleet. Returns the exit code."""
    arguments = _fleet_parser().parse_args(argv)
    return _exit_code(lambda: arguments.call(arguments, _print))


def demo(argv: list[str]) -> int:
    """`camward demo`: a fleet in a box, until Ctrl-C. Returns the exit code."""
    arguments = _demo_parser().parse_args(argv)

    def run() -> int:
        from provisioning.box import BoxOptions, run_box

        options = BoxOptions(
            directory=arguments.dir,
            sources=dict(arguments.source or ()),
            broker=arguments.broker,
            port=arguments.port,
            host=arguments.host,
            browser=not arguments.no_browser,
            seconds=arguments.seconds,
            verbose=arguments.verbose,
        )
        asyncio.run(run_box(options, lambda line: _print(clock_line(line))))
        return OK

    return _exit_code(run)


def _fleet_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="camward fleet",
        description="Make a fleet of cameras, let devices and people in, and serve it.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parsers = parser.add_subparsers(required=True, metavar="COMMAND")

    def add(name: str, summary: str, *, json: bool = False) -> argparse.ArgumentParser:
        command = parsers.add_parser(name, help=summary, description=summary)
        command.set_defaults(call=getattr(commands, name))
        command.add_argument("--dir", type=Path, default=Path("fleet"), help="the fleet's directory (default: ./fleet)")
        if json:
            command.add_argument("--json", action="store_true", help="one line of JSON, for scripts")
        return command

    init = add("init", "Make a fleet: a root, its issuing CAs, and a registry.")
    init.add_argument(
        "--host", "--name", action="append", metavar="NAME", help="where devices and people reach it; may be repeated"
    )
    claim = add("claim", "Make the one-time code that one device enrols with.", json=True)
    claim.add_argument("--serial", required=True, help="the hardware's serial")
    claim.add_argument("--label", help="what people call it (default: the serial)")
    add("devices", "List the devices.", json=True)
    revoke = add("revoke", "Revoke a device: it is cut off, and so is who watches it.")
    revoke.add_argument("device", metavar="ID")
    revoke.add_argument("--yes", action="store_true", help="do not ask")
    grant = add("grant", "Let somebody watch: a code to sign in with, or a certificate for an application.", json=True)
    grant.add_argument("name", metavar="NAME")
    grant.add_argument("--device", required=True, metavar="ID", help="a device id, or all")
    grant.add_argument("--scope", default="live", help="default: live")
    grant.add_argument("--app", action="store_true", help="an application: writes apps/NAME.pem")
    withdraw = add("withdraw", "Take a permission back: whoever watches with it is cut off.")
    withdraw.add_argument("name", metavar="NAME")
    withdraw.add_argument("--device", default="all", metavar="ID", help="a device id (default: all)")
    serve = add("serve", "Serve the fleet until Ctrl-C: enrolment, page, gateway and broker.")
    serve.add_argument("--broker", choices=("mosquitto", "embedded"), default="mosquitto", help="default: mosquitto")
    return parser


def _demo_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="camward demo",
        description="A fleet in a box: a whole fleet and one camera on this machine, and a page to watch it on.",
        epilog=_DEMO_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--dir", type=Path, default=Path("demo"), help="where everything is kept (default: ./demo)")
    parser.add_argument(
        "--source",
        action="append",
        type=_source,
        metavar="[NAME=]SOURCE",
        help="auto, pattern, clip:FILE, v4l2 or picamera (default: auto); with a NAME each, as many cameras",
    )
    parser.add_argument("--broker", choices=("embedded", "mosquitto"), default="embedded", help="default: embedded")
    parser.add_argument("--port", type=_port, help="of the page (default: 8080, with --host 8443)")
    parser.add_argument("--host", metavar="ADDRESS", help="serve other machines too, under this name, over HTTPS")
    parser.add_argument("--no-browser", action="store_true", help="do not open a browser")
    parser.add_argument("--seconds", type=_seconds, help="end by itself after so long")
    parser.add_argument("--verbose", action="store_true", help="all that the device logs")
    return parser


def _source(text: str) -> tuple[str, str]:
    """Read `SOURCE`, whose camera has no name, or `NAME=SOURCE`; a source may have an = behind its colon."""
    name, equals, source = text.partition("=")
    return (name, source) if equals and ":" not in name else ("", text)


def _port(text: str) -> int:
    if not (text.isascii() and text.isdigit() and 1 <= int(text) <= 65535):
        raise argparse.ArgumentTypeError(f"{text!r} is not a port: 1 to 65535")
    return int(text)


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number above 0")
    return seconds


def _exit_code(call: Callable[[], int]) -> int:
    logging.basicConfig(handlers=[to_stderr()])
    try:
        return call()
    except Exception as error:
        known = next(filter(None, map(_sentence, _leaves(error))), None)
        if known is None:
            raise
        print(f"camward: {printable(known)}", file=sys.stderr)
        return FAULT


def _sentence(error: BaseException) -> str | None:
    match error:
        case FleetError() | RegistryError() | PeopleError():
            return str(error)
        case DBAPIError():
            return f"the registry cannot be used ({error.orig}): check registry.sqlite, or restore it from a copy"
        case OSError(filename=str() as name):
            return f"{name}: {error.strerror}; check that it is there, and that you may use it"
    return None


def _leaves(error: BaseException) -> Iterator[BaseException]:
    """The errors of a group's parts, the first to fail first; one alone is its own."""
    if isinstance(error, BaseExceptionGroup):
        for part in error.exceptions:
            yield from _leaves(part)
    else:
        yield error


def _print(line: str) -> None:
    print(line, flush=True)

"""The front door: which subcommand lives in which room. A room is imported when its subcommand is called."""

from __future__ import annotations

import difflib
import importlib
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from camward import __version__
from camward.dumps import never_dump

OK: Final = 0
FAULT: Final = 1
USAGE: Final = 2
INTERRUPTED: Final = 130


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """A subcommand: `module.function(argv) -> exit code`, and the pip extra that brings what it imports."""

    module: str
    function: str
    extra: str
    summary: str


COMMANDS: Final = {
    "run": Command(module="agent.cli", function="run", extra="device", summary="run the camera on this device"),
    "enroll": Command(
        module="agent.cli", function="enroll", extra="device", summary="give this device its identity, once"
    ),
    "probe": Command(
        module="agent.cli",
        function="probe",
        extra="device",
        summary="no picture? what this board has, and what is missing",
    ),
    "fleet": Command(
        module="provisioning.cli", function="fleet", extra="fleet", summary="make and serve a fleet of cameras"
    ),
    "view": Command(module="viewer.cli", function="view", extra="view", summary="watch or record a camera"),
    "demo": Command(
        module="provisioning.cli", function="demo", extra="device,fleet", summary="a fleet in a box, on this machine"
    ),
}

_HELP: Final = """\
usage: camward COMMAND [options]

A camera that proves who it is, and shows its picture only to those who may see it.

commands:
{commands}

options:
  -h, --help     show this, or with a command what it takes
  --version      show the version

examples:
  camward demo                                 see it work here, with a test picture
  camward fleet init --host camera.example     start a fleet
  camward fleet claim --serial SN42            get a code for one device
  camward enroll --config agent.toml --serial SN42
  camward run --config agent.toml
  camward probe                                what this board has, which camera it would take, and why
  camward view --device ID --fleet https://camera.example:8443 --root root.pem --record out.mp4
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Call the room of a subcommand and give its exit code: 0 done, 1 a fault, 2 wrong usage, 130 interrupted."""
    never_dump()
    try:
        code = _dispatch(list(sys.argv[1:] if argv is None else argv))
        sys.stdout.flush()
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        # The reader of our output is gone; without this the interpreter complains when it flushes at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAULT
    return code


def _dispatch(arguments: list[str]) -> int:
    if not arguments:
        print(_help(), end="", file=sys.stderr)
        return USAGE
    name, *rest = arguments
    if name in {"-h", "--help"}:
        print(_help(), end="")
        return OK
    if name == "--version":
        print(f"camward {__version__}")
        return OK
    if (command := COMMANDS.get(name)) is None:
        print(_unknown(name), file=sys.stderr)
        return USAGE
    return _call(name, command, rest)


def _call(name: str, command: Command, arguments: list[str]) -> int:
    try:
        function: Callable[[list[str]], int] = getattr(importlib.import_module(command.module), command.function)
        return function(arguments)
    except ModuleNotFoundError as error:
        missing = (error.name or "").partition(".")[0]
        if missing in {"", "camward", "agent", "protocol", "provisioning", "viewer"}:
            raise
        print(
            f"camward {name} needs the Python package {missing}; "
            f"install camward with what it needs: pip install '.[{command.extra}]'",
            file=sys.stderr,
        )
        return FAULT


def _help() -> str:
    width = max(map(len, COMMANDS)) + 2
    return _HELP.format(commands="\n".join(f"  {name:{width}} {entry.summary}" for name, entry in COMMANDS.items()))


def _unknown(name: str) -> str:
    if name.startswith("-"):
        return f"camward: {name} is not an option here; `camward --help` shows what there is"
    near = difflib.get_close_matches(name, COMMANDS, n=1)
    hint = f"did you mean `camward {near[0]}`?" if near else "`camward --help` lists them"
    return f"camward: {name!r} is not a command; {hint}"

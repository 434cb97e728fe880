"""The board's pins: the kernel's chips (linux/gpio.h), and the library that gpiozero would take."""

from __future__ import annotations

import fcntl
import json
import os
import struct
from pathlib import Path
from typing import Final

from agent.probe import commands
from agent.probe.facts import Chip, Pins

CHIPINFO: Final = struct.Struct("=32s32sI")
GET_CHIPINFO: Final = 0x8044B401

# In a process and a directory of its own: lgpio makes a pipe where it is imported, and a library that crashes may.
_ASK: Final = """
import json, warnings
warnings.simplefilter("always")
with warnings.catch_warnings(record=True) as fallbacks:
    try:
        import gpiozero
        gpiozero.Device.ensure_pin_factory()
        said = {"library": type(gpiozero.Device.pin_factory).__module__.rpartition(".")[2]}
    except Exception as error:
        said = {"problem": str(fallbacks[0].message if fallbacks else error)}
print(json.dumps(said))
"""


def pins(directory: Path = Path("/dev")) -> Pins:
    """Describe the chips, and try the library."""
    answer = commands.python("-c", _ASK)
    try:
        found = json.loads(answer.output)
    except ValueError:
        found = {"problem": (answer.errors.strip().splitlines() or ["no answer"])[-1]}
    chips = tuple(map(_chip, sorted(directory.glob("gpiochip[0-9]*"))))
    return Pins(chips=chips, library=found.get("library"), problem=found.get("problem"))


def _chip(path: Path) -> Chip:
    answer = bytearray(CHIPINFO.size)
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            fcntl.ioctl(descriptor, GET_CHIPINFO, answer)
        finally:
            os.close(descriptor)
    except OSError as error:
        return Chip(path=str(path), label="", lines=0, problem=error.strerror or str(error))
    _name, label, lines = CHIPINFO.unpack(answer)
    return Chip(path=str(path), label=label.split(b"\0", 1)[0].decode("latin-1"), lines=lines, problem=None)

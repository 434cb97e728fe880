"""What stands in an H.264 stream, read by FFmpeg's own reader of headers (its bitstream filter trace_headers)."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass, field

_KIND = re.compile(r"^(Sequence Parameter Set|Picture Parameter Set|Slice Header|.*Delimiter|Supplemental.*)$")
_ELEMENT = re.compile(r"^\d+ +(\w+(?:\[\d+\])*) +\S+ = (-?\d+)$")


@dataclass(slots=True)
class Unit:
    """A NAL unit: what it is, and its syntax elements by the names of H.264, section 7.3."""

    kind: str
    elements: dict[str, int] = field(default_factory=dict)


def units(stream: bytes) -> list[Unit]:
    """Read Annex B, all NAL units in order."""
    command = [
        "ffmpeg",
        "-hide_banner",
        "-f",
        "h264",
        "-i",
        "-",
        "-c",
        "copy",
        "-bsf:v",
        "trace_headers",
        "-f",
        "null",
        "-",
    ]
    done = subprocess.run(command, input=stream, capture_output=True, check=True)
    found: list[Unit] = []
    for line in done.stderr.decode(errors="replace").splitlines():
        text = line.partition("] ")[2] if line.startswith("[trace_headers") else ""
        if kind := _KIND.match(text):
            found.append(Unit(kind[1]))
        elif found and (element := _ELEMENT.match(text)):
            found[-1].elements[element[1]] = int(element[2])
    return found


def of(kind: str, found: Iterable[Unit]) -> list[dict[str, int]]:
    """Give the elements of each unit of one kind."""
    return [unit.elements for unit in found if unit.kind == kind]

"""`camward probe`: shows progress, and prints the report as a page or as JSON."""

from __future__ import annotations

import dataclasses
import json
import sys
from datetime import datetime
from pathlib import Path
from typing import Final

from agent.probe.facts import Report
from agent.probe.gather import report
from agent.probe.page import page

_CLEAR_LINE: Final = "\r\x1b[K"


def run(path: Path, *, as_json: bool, quick: bool, released: datetime) -> bool:
    """Probe and print; say whether a real camera would be taken."""
    found = report(path, quick=quick, released=released, say=_progress)
    _progress("")
    sys.stdout.write(as_text(found) if as_json else page(found))
    return found.choice.real


def as_text(found: Report) -> str:
    """Give the report as JSON; its fields are those of facts.py."""
    return json.dumps(dataclasses.asdict(found), indent=1) + "\n"


def _progress(doing: str) -> None:
    """Show what is going on, in one line that the next one takes, where somebody looks."""
    if sys.stderr.isatty():
        sys.stderr.write(_CLEAR_LINE + (f"{doing} ..." if doing else ""))
        sys.stderr.flush()

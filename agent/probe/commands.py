"""Other programs, asked with a time limit: what hangs in a driver or does not load must not take the probe with it."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_SILENT_S: Final = 30.0  # loading PyAV alone takes some of it, from a slow card


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """How a program ended. `code` is None where it is not installed or did not end in time; `errors` says which."""

    code: int | None
    output: str
    errors: str


def said(*command: str, within_s: float = _SILENT_S) -> Said:
    """Run a program in a directory of its own, which is gone afterwards."""
    with tempfile.TemporaryDirectory() as directory:
        try:
            done = subprocess.run(
                command, capture_output=True, text=True, errors="replace", timeout=within_s, cwd=directory, check=False
            )
        except FileNotFoundError:
            return Said(code=None, output="", errors=f"{command[0]} is not installed")
        except subprocess.TimeoutExpired:
            return Said(code=None, output="", errors=f"{Path(command[0]).name} gave no answer within {within_s:g} s")
        except OSError as error:
            return Said(code=None, output="", errors=f"{command[0]}: {error.strerror}")
    return Said(code=done.returncode, output=done.stdout, errors=done.stderr)


def python(*arguments: str, within_s: float = _SILENT_S) -> Said:
    """Run this Python, which sees the same packages."""
    return said(sys.executable, *arguments, within_s=within_s)

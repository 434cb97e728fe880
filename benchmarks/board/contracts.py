"""hw-tests, run by pytest in a process of their own; what each said."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final
from xml.etree import ElementTree

from benchmarks.child import Failed

_ROOT: Final = Path(__file__).parents[2]


def run(source: str | None, pins: str | None) -> list[dict[str, str]]:
    """Run all of them; the name of each, how it came out (passed, failed or skipped), and why. Errors: Failed."""
    command = [sys.executable, "-m", "pytest", "-q", "--no-header", "-p", "no:cacheprovider", "hw-tests"]
    command += [f"--source={source}"] if source else []
    command += [f"--pins={pins}"] if pins else []
    with tempfile.TemporaryDirectory() as directory:
        results = Path(directory) / "results.xml"
        command += [f"--junitxml={results}", f"--basetemp={directory}/pytest"]
        done = subprocess.run(command, cwd=_ROOT, stdout=sys.stderr, check=False)
        if not results.exists():
            raise Failed(f"pytest ended with {done.returncode} and no results")
        return read(results.read_text())


def read(xml: str) -> list[dict[str, str]]:
    """Read pytest's JUnit XML."""
    found = []
    for case in ElementTree.fromstring(xml).iter("testcase"):  # noqa: S314  # pytest's own, of a moment ago
        outcome, why = "passed", ""
        for tag, name in (("skipped", "skipped"), ("failure", "failed"), ("error", "failed")):
            if (part := case.find(tag)) is not None:
                outcome, why = name, part.get("message", "").splitlines()[0]
        file = case.get("classname", "").rpartition(".")[2]
        found.append({"test": f"{file}: {case.get('name', '')}", "outcome": outcome, "why": why})
    return found

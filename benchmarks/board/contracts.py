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
    """Run all of them; the name of each, how it came out (passed, failed or skipped), and why. Errors: Failed.

    What fails is run once more by itself, since a board may be busy; it is then said to have held at the second try.
    """
    options = [f"--source={source}"] if source else []
    options += [f"--pins={pins}"] if pins else []
    with tempfile.TemporaryDirectory() as directory:
        tried = _run(Path(directory), options)
        if any(one["outcome"] == "failed" for one in tried):
            again = {one["test"]: one for one in _run(Path(directory), [*options, "--last-failed"])}
            tried = [_second(one, again.get(one["test"])) for one in tried]
    return tried


def _run(directory: Path, options: list[str]) -> list[dict[str, str]]:
    results = directory / "results.xml"
    results.unlink(missing_ok=True)
    command = [sys.executable, "-m", "pytest", "-q", "--no-header", "-o", f"cache_dir={directory}/cache", "hw-tests"]
    command += [*options, f"--junitxml={results}", f"--basetemp={directory}/pytest"]
    done = subprocess.run(command, cwd=_ROOT, stdout=sys.stderr, check=False)
    if not results.exists():
        raise Failed(f"pytest ended with {done.returncode} and no results")
    return read(results.read_text())


def _second(first: dict[str, str], again: dict[str, str] | None) -> dict[str, str]:
    if first["outcome"] != "failed" or again is None or again["outcome"] != "passed":
        return first
    return again | {"why": f"at the second try; at first: {first['why']}"}


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

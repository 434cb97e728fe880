"""`make fuzz`: so many cases for each door that strangers' bytes come through, two doors at a time."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final

from tests.fuzz.target import NAMES

DIRECTORY: Final = Path("test-results") / "fuzz"
RECORDS: Final = DIRECTORY / "records.jsonl"


def main() -> int:
    """Run the fuzzers, keep a record of each, and say whether any of them found something."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--cases", type=int, default=50_000, help="for each target")
    parser.add_argument("--target", choices=NAMES, action="append", help="only this one; may be said again")
    parser.add_argument("--at-once", type=int, default=2, help="processes")
    given = parser.parse_args()
    DIRECTORY.mkdir(parents=True, exist_ok=True)
    seed = 1 + (len(RECORDS.read_text(encoding="utf-8").splitlines()) if RECORDS.exists() else 0)
    with ThreadPoolExecutor(given.at_once) as pool:
        records = list(pool.map(lambda name: _run(name, given.cases, seed), given.target or NAMES))
    with RECORDS.open("a", encoding="utf-8") as file:
        file.writelines(json.dumps(record) + "\n" for record in records)
    findings = [record for record in records if "finding" in record]
    for record in findings:
        print(f"{record['target']}: {record['finding']} ({DIRECTORY / record['case']})", file=sys.stderr)
    print(f"{len(records) - len(findings)} passed, {len(findings)} failed")
    return bool(findings)


def _run(name: str, cases: int, seed: int) -> dict[str, Any]:
    command = [sys.executable, "-m", "tests.fuzz.child", name, str(cases), str(seed), str(DIRECTORY)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    (DIRECTORY / f"{name}.log").write_text(done.stderr, encoding="utf-8")
    lines = done.stdout.splitlines()
    if not lines or not lines[-1].startswith("{"):  # killed, or ended by libFuzzer: a hang, or memory
        return {
            "target": name,
            "cases": 0,
            "seconds": 0.0,
            "finding": f"ended by {done.returncode}",
            "case": f"{name}.log",
        }
    record: dict[str, Any] = json.loads(lines[-1])
    print(
        f"{name:10} {record['cases']:9,} cases {record['refused']:9,} refused {record['seconds']:7.1f} s"
        f"   slowest {record['slowest_ms']:6.2f} ms",
        flush=True,
    )
    return record


if __name__ == "__main__":
    sys.exit(main())

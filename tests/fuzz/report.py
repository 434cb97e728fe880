"""Writes the table of docs/security/fuzzing.md from the records of long runs: `python -m tests.fuzz.report`."""

from __future__ import annotations

import importlib
import json
from collections import defaultdict
from pathlib import Path
from typing import Any, Final

from tests.fuzz.__main__ import RECORDS

PAGE: Final = Path(__file__).parents[2] / "docs" / "security" / "fuzzing.md"
_BEGIN: Final = "<!-- what follows is written by `python -m tests.fuzz.report` -->\n"
_END: Final = "<!-- until here -->\n"


def table(records: list[dict[str, Any]]) -> str:
    """Sum up the records of each target, in Markdown."""
    of = defaultdict[str, list[dict[str, Any]]](list)
    for record in records:
        of[record["target"]].append(record)
    lines = [
        "| target | what it is | cases | seconds | slowest | objects kept | findings |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, each in sorted(of.items()):
        about = str(importlib.import_module(f"tests.fuzz.targets.{name}").__doc__).partition("\n")[0]
        cases, seconds = (sum(record[key] for record in each) for key in ("cases", "seconds"))
        slowest_ms = max(record.get("slowest_ms", 0.0) for record in each)
        kept = sum(record.get("objects_grown", 0) for record in each)
        findings = sum("finding" in record for record in each)
        lines.append(f"| `{name}` | {about} | {cases:,} | {seconds:,.0f} | {slowest_ms:.1f} ms | {kept} | {findings} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    before, _, rest = PAGE.read_text(encoding="utf-8").partition(_BEGIN)
    after = rest.partition(_END)[2]
    records = [json.loads(line) for line in RECORDS.read_text(encoding="utf-8").splitlines()]
    PAGE.write_text(before + _BEGIN + table(records) + _END + after, encoding="utf-8")

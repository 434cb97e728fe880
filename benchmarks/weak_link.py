"""What a weak link does to its viewer and to another one: how soon the camera adapts, and how soon it is back.

    .venv/bin/python -m benchmarks.weak_link [--runs N] [--open-first] [--loss-stays]

Needs root. Two Chromiums watch one camera of 4 Mbit/s through links in user space: one of 100 Mbit/s, and one of
2 Mbit/s, 50 ms and 2 % loss that opens to 20 Mbit/s. Writes benchmarks/weak_link.json: each run second by second,
with the machine.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import tempfile
from dataclasses import asdict, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks.machine import machine
from tests.kit.link_scene import BITRATE_BPS, GOOD, OPEN, WEAK
from tests.kit.link_story import Outcome, story

_RESULTS = Path(__file__).with_suffix(".json")


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=3, help="each takes a minute (default: 3)")
    parser.add_argument("--open-first", action="store_true", help="the link is good for five seconds before")
    parser.add_argument("--loss-stays", action="store_true", help="the open link still loses 2 %%")
    arguments = parser.parse_args()
    opened = replace(OPEN, loss=WEAK.loss) if arguments.loss_stays else OPEN
    runs = []
    for _ in range(arguments.runs):
        with tempfile.TemporaryDirectory() as folder:
            outcome = asyncio.run(story(Path(folder), open_first=arguments.open_first, open_link=opened))
        show(outcome)
        runs.append(rounded(asdict(outcome)))
    record = {
        "at": datetime.now(UTC).date().isoformat(),
        "machine": machine(),
        "camera_bps": BITRATE_BPS,
        "open_first": arguments.open_first,
        "weak": asdict(WEAK),
        "open": asdict(opened),
        "good": asdict(GOOD),
        "runs": runs,
    }
    _RESULTS.write_text(json.dumps(record, indent=1) + "\n")


def show(outcome: Outcome) -> None:
    """Print one run: a line a second, then the figures."""
    print("    s  offered received   fps width queued     good   fps   (kbit/s, ms)")
    for number, second in enumerate(outcome.seconds):
        print(
            f"{number:5} {second.offered_bps / 1000:8.0f} {second.received_bps / 1000:8.0f} {second.fps:5.1f}"
            f" {second.width:5} {second.queued_s * 1000:6.0f} {second.good_bps / 1000:8.0f} {second.good_fps:5.1f}"
        )
    for name, value in rounded(asdict(outcome)).items():
        if name != "seconds":
            print(f"{name:>22}  {value}")


def rounded(figures: dict[str, Any]) -> dict[str, Any]:
    """The same with three digits after the point."""
    return {name: round(value, 3) if isinstance(value, float) else value for name, value in figures.items()}


if __name__ == "__main__":
    main()

"""What a viewer costs: one encoded 1080p30 stream of 4 Mbit/s to N viewers, from camward and from its peers.

    .venv/bin/python -m benchmarks [--quick] [--senders A,B] [--viewers N,M] [--srtp cm,gcm] [--repeats N] [--seconds S]

Every cell starts its sender and the one receiver anew. Within a repeat the senders take turns, so that a drift of the
machine hits all of them. Writes benchmarks/results.json, then docs/benchmarks.md's table and plot are made of it by
`python -m benchmarks.report`.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import sys
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from benchmarks import report
from benchmarks.cell import Record, measure
from benchmarks.child import Failed
from benchmarks.idle import measure_idle
from benchmarks.machine import circumstances
from benchmarks.materials import Materials, prepare
from benchmarks.sending import NAMES, WITHOUT_GCM

RESULTS = Path(__file__).parent / "results.json"


async def run(made: Materials, arguments: argparse.Namespace, results: dict[str, Any]) -> list[Record]:
    """Measure every cell so often as is wanted, and write after each; what a sender cannot do gives no record."""
    results["idle"] = [asdict(await measure_idle(made, name, seconds=arguments.seconds)) for name in arguments.senders]
    cells = [
        (repeat, viewers, srtp, name)
        for repeat, viewers, srtp, name in itertools.product(
            range(1, arguments.repeats + 1), arguments.viewers, arguments.srtp, arguments.senders
        )
        if not (srtp == "gcm" and name in WITHOUT_GCM)
    ]
    records: list[Record] = []
    for number, (repeat, viewers, srtp, name) in enumerate(cells, 1):
        print(f"{number:4}/{len(cells)}  {name:15} {viewers:3} {srtp:3}", end="  ", flush=True)
        try:
            record = await measure(made, name, viewers, srtp, seconds=arguments.seconds, repeat=repeat)
        except Failed as failure:
            print(f"no record: {failure}", flush=True)
            continue
        records.append(record)
        write(arguments.out, results, records)
        print(
            f"{record.cpu_s_per_viewer_minute:7.3f} CPU-s  {record.rss_mb:6.1f} MB  {record.fps:6.2f} fps"
            f"  {record.lost:5} lost  first keyframe {record.first_keyframe_ms_median:6.0f} ms",
            flush=True,
        )
    return records


def write(path: Path, results: dict[str, Any], records: list[Record]) -> None:
    """Write what is known, a line a record."""
    head = json.dumps(results, indent=1).removesuffix("\n}")
    lines = ",\n  ".join(json.dumps(asdict(record)) for record in records)
    path.write_text(f'{head},\n "records": [\n  {lines}\n ]\n}}\n')


def names_of(allowed: tuple[str, ...]) -> Callable[[str], list[str]]:
    """Read a comma-separated list of names."""

    def read(text: str) -> list[str]:
        if unknown := set(text.split(",")) - set(allowed):
            raise argparse.ArgumentTypeError(f"{', '.join(sorted(unknown))}: allowed are {', '.join(allowed)}")
        return text.split(",")

    return read


def main() -> None:
    """Measure, write, and print the table."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--senders", type=names_of(NAMES), default=list(NAMES))
    parser.add_argument("--viewers", type=lambda text: [int(one) for one in text.split(",")], default=[1, 4, 16, 32])
    parser.add_argument("--srtp", type=names_of(("cm", "gcm")), default=["cm", "gcm"])
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=6.0, help="that are measured in each cell (default: 6)")
    parser.add_argument("--quick", action="store_true", help="one repeat of 3 s with 1 and 4 viewers: does all work?")
    parser.add_argument("--out", type=Path, default=RESULTS)
    arguments = parser.parse_args()
    if arguments.quick:
        arguments.repeats, arguments.seconds, arguments.viewers = 1, 3.0, [1, 4]
    made, began = prepare(), time.monotonic()
    results = circumstances() | {"seconds": arguments.seconds}
    records = asyncio.run(run(made, arguments, results))
    print(f"{len(records)} records in {arguments.out}, after {(time.monotonic() - began) / 60:.0f} minutes\n")
    if not records:
        sys.exit("nothing could be measured")
    print(report.table(json.loads(arguments.out.read_text())))


if __name__ == "__main__":
    main()

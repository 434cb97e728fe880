"""The agent as it is, which beside its work writes down when each picture was drawn and when it was encoded.

    python -m benchmarks.latency_device TIMES run --config agent.toml

A line a picture in the file TIMES: pts in microseconds, then drawn and encoded in Unix seconds. Started by latency.py.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path

from agent.capture.pattern import Pattern
from agent.capture.picture import Picture
from agent.media.access_unit import AccessUnit
from camward.cli import main


def write_times(path: Path) -> None:
    """Let the pattern write its times to `path`: `draw` begins a picture, `emit` is called where its encoding ends."""
    times = path.open("w", buffering=1)
    draw, run = Picture.draw, Pattern.run
    drawn = 0.0

    def timed_draw(self: Picture, unix_s: float) -> None:
        nonlocal drawn
        drawn = unix_s
        draw(self, unix_s)

    def timed_run(self: Pattern, emit: Callable[[AccessUnit], None]) -> None:
        def timed_emit(unit: AccessUnit) -> None:
            encoded = time.time()
            emit(unit)
            if unit.stream == "main":
                times.write(f"{unit.pts_us} {drawn:.6f} {encoded:.6f}\n")

        run(self, timed_emit)

    Picture.draw, Pattern.run = timed_draw, timed_run  # type: ignore[method-assign]


if __name__ == "__main__":
    write_times(Path(sys.argv.pop(1)))
    sys.exit(main())

"""What cameras offer, as `v4l2-ctl --list-formats-ext` prints it; lists of real ones stand in webcams/."""

from __future__ import annotations

import re
from pathlib import Path

from agent.capture.modes import Mode, nearest

WEBCAMS = Path(__file__).parent / "webcams"


def recorded(name: str, width: int, height: int) -> list[Mode]:
    """Read the list of one that has a name there."""
    return listed((WEBCAMS / f"{name}.txt").read_text(), width, height)


def listed(said: str, width: int, height: int) -> list[Mode]:
    """Read a list as devices.modes gives it: of a range of sizes the nearest to the wanted one."""
    modes: list[Mode] = []
    fourcc = ""
    for line in said.splitlines():
        if found := re.search(r"\[\d+\]: '(.{4})'", line):
            fourcc = found[1]
        elif found := re.search(r"Size: Discrete (\d+)x(\d+)", line):
            modes.append(Mode(fourcc, int(found[1]), int(found[2])))
        elif found := re.search(r"Stepwise (\d+)x(\d+) - (\d+)x(\d+) with step (\d+)/(\d+)", line):
            low, low_high, most, most_high, step, step_high = map(int, found.groups())
            at = int(nearest(low, most, step, width)), int(nearest(low_high, most_high, step_high, height))
            modes.append(Mode(fourcc, *at))
        elif found := re.search(r"\(([\d.]+) fps\)", line):
            last = modes[-1]
            modes[-1] = Mode(last.fourcc, last.width, last.height, (*last.rates_fps, float(found[1])))
    return modes

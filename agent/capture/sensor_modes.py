"""Which of a sensor's modes gives a wanted picture best. Pure: it knows of picamera2's lists, and not of picamera2."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

# Modes whose views differ by less count as equal: between them, fewer pixels to read out decide.
_SAME_VIEW = 0.9


@dataclass(frozen=True, slots=True, kw_only=True)
class Mode:
    """What a sensor reads out: pixels, how many bits each, at most how often, and how much of its area that shows.

    `view` is the width and height of that area, in pixels of the whole sensor.
    """

    width: int
    height: int
    bit_depth: int
    fps: float
    view: tuple[int, int]


def modes(listed: Iterable[Mapping[str, Any]]) -> list[Mode]:
    """Read picamera2's `sensor_modes`; what describes no raw mode is left out."""
    return [
        Mode(
            width=mode["size"][0],
            height=mode["size"][1],
            bit_depth=mode["bit_depth"],
            fps=mode["fps"],
            view=tuple(mode["crop_limits"][2:]),
        )
        for mode in listed
        if {"size", "bit_depth", "fps", "crop_limits"} <= mode.keys()
    ]


def best(offered: Iterable[Mode], width: int, height: int, fps: float) -> Mode | None:
    """Choose for a picture of `width` x `height`; None where nothing is offered.

    Fast enough comes first, then enough pixels, then the widest view once cut to the picture's shape; among those,
    the fewest pixels and the most bits. A sensor that is nowhere fast enough gives its fastest mode.
    """
    all_of_them = list(offered)
    if not all_of_them:
        return None
    # A mode "of 30 fps" is listed with 29.98 or the like.
    fast = [mode for mode in all_of_them if mode.fps >= fps * 0.99]
    if not fast:
        return max(all_of_them, key=lambda mode: (mode.fps, mode.width * mode.height))
    sharp = [mode for mode in fast if mode.width >= width and mode.height >= height]
    if not sharp:
        return max(fast, key=lambda mode: (mode.width * mode.height, mode.bit_depth))
    widest = max(_seen(mode, width, height) for mode in sharp)
    wide = [mode for mode in sharp if _seen(mode, width, height) >= widest * _SAME_VIEW]
    return min(wide, key=lambda mode: (mode.width * mode.height, -mode.bit_depth))


def _seen(mode: Mode, width: int, height: int) -> float:
    """Say how much of the sensor's width is left in a picture of that shape, in its pixels."""
    wide, high = mode.view
    return min(wide, high * width / height)

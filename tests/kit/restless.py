"""A camera that always has much to say: the test pattern with grain, which fills whatever bitrate it is given.

    python -m tests.kit.restless run --config agent.toml

is `camward run` with that picture.
"""

from __future__ import annotations

import random
import sys

from agent.capture import pattern, picture
from camward.cli import main

_GREY, _AMPLITUDE = 128, 8  # faint enough for an encoder to let go of it at a few hundred kbit/s


class Restless(picture.Picture):
    """The test picture, with another grain in its lower half each time."""

    def __init__(self, width: int, height: int) -> None:
        super().__init__(width, height)
        self._chance = random.Random(1)  # noqa: S311  # the same picture in every run
        shades = range(_GREY - _AMPLITUDE, _GREY + _AMPLITUDE + 1)
        self._grain = bytes(self._chance.choices(shades, k=64 * width))
        self._size = width, height

    def draw(self, unix_s: float) -> None:
        """Draw the time, and the grain over the sweeping block."""
        super().draw(unix_s)
        (width, height), plane = self._size, self.frame.planes[0]
        luma, stride = memoryview(plane), plane.line_size
        for y in range(height // 2, height):
            start = self._chance.randrange(len(self._grain) - width)
            luma[y * stride : y * stride + width] = self._grain[start : start + width]


if __name__ == "__main__":
    vars(pattern)["Picture"] = Restless
    sys.exit(main(sys.argv[1:]))

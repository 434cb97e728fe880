"""A line of text in the upper left corner of each picture: a name, the time."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

import av

from agent.capture.font import BLACK, COLUMNS, FONT, ROWS, glyph

_GREY: Final = 128  # chroma without a colour
_CLOCK: Final = "%Y-%m-%d %H:%M:%S"
_WIDTH_OF_A_DOT: Final = 426  # of the picture's width, so that the text stays as large in any


class Overlay:
    """Writes `text` into pictures; `{time}` in it is the local date and time. What is too long is cut off.

    The rows are made when the text changes, which is once a second; a picture then costs a copy a row.
    """

    def __init__(self, text: str, now: Callable[[], float] = time.time) -> None:
        self._text = text.upper()
        self._has_time = "{TIME}" in self._text
        self._now = now
        self._made: dict[int, tuple[str, list[bytes]]] = {}  # by the picture's width: the text, and its rows

    def draw(self, frame: av.VideoFrame) -> None:
        """Write into a yuv420p or nv12 picture, in place."""
        text = self._text
        if self._has_time:
            text = text.replace("{TIME}", time.strftime(_CLOCK, time.localtime(self._now())))
        made = self._made.get(frame.width)
        if made is None or made[0] != text:
            made = self._made[frame.width] = text, _rows(text, frame.width)
        rows = made[1][: frame.height // 2 * 2]
        luma, stride = memoryview(frame.planes[0]), frame.planes[0].line_size
        for number, row in enumerate(rows):
            luma[number * stride : number * stride + len(row)] = row
        grey = bytes((_GREY,)) * (len(rows[0]) // 2 * (2 if frame.format.name == "nv12" else 1))
        for plane in frame.planes[1:]:
            chroma = memoryview(plane)
            for number in range(len(rows) // 2):
                chroma[number * plane.line_size : number * plane.line_size + len(grey)] = grey


def _rows(text: str, width: int) -> list[bytes]:
    """Make the luma of a line of text with a black edge, of an even number of rows and columns."""
    dot = max(1, round(width / _WIDTH_OF_A_DOT))
    text = text[: (width // dot - 2) // COLUMNS]
    black = bytes((BLACK,))
    edge = black * ((len(text) * COLUMNS + 1) * dot)
    edge += edge[: len(edge) % 2]
    glyphs = [glyph(character if character in FONT else " ", dot) for character in text]
    rows = [edge] * dot
    for number in range(ROWS):
        rows += [(black * dot + b"".join(rows[number] for rows in glyphs)).ljust(len(edge), black)] * dot
    return rows + [edge] * (dot + len(rows) % 2 + dot % 2)

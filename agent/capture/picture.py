"""The test picture: colour bars, a sweeping block, and the time of day in large digits."""

from __future__ import annotations

import time

import av

from agent.capture.font import BLACK, COLUMNS, ROWS, WHITE, glyph

_CHARACTERS = len("12:34:56.789")

# 75 % bars in Y, Cb, Cr of BT.601: white, yellow, cyan, green, magenta, red, blue, black.
_BARS = (
    (180, 128, 128),
    (162, 44, 142),
    (131, 156, 44),
    (112, 72, 58),
    (84, 184, 198),
    (65, 100, 212),
    (35, 212, 114),
    (16, 128, 128),
)
_GREY = 128
_SWEEP_S = 4


class Picture:
    """A picture of `width` x `height` whose `frame` (yuv420p) is drawn anew, in place, for each moment.

    The bars are drawn once. A `draw` touches the luma of the digits and of the strip below the bars alone.
    """

    def __init__(self, width: int, height: int) -> None:
        self.frame = av.VideoFrame(width, height, "yuv420p")
        self._width = width
        self._strip = range(height - max(2, height // 8), height)
        self._block = max(2, width // 16)
        self._dot = max(1, min(width // (_CHARACTERS * COLUMNS + 8), height // 20))
        self._left = (width - self._dot * _CHARACTERS * COLUMNS) // 2
        self._top = (height - self._dot * ROWS) // 3
        self._glyphs = {character: glyph(character, self._dot) for character in "0123456789:."}
        black, white = bytes([BLACK]), bytes([WHITE])
        self._sweep = black * width + white * self._block + black * width
        self._background()

    def draw(self, unix_s: float) -> None:
        """Draw the local time `unix_s`, to the millisecond, and the block where it then is."""
        plane = self.frame.planes[0]
        luma, stride = memoryview(plane), plane.line_size
        milliseconds = int(unix_s * 1000)
        text = f"{time.strftime('%H:%M:%S', time.localtime(milliseconds // 1000))}.{milliseconds % 1000:03}"
        line = self._top * stride + self._left
        for row in range(ROWS):
            dots = b"".join([self._glyphs[character][row] for character in text])
            for _ in range(self._dot):
                luma[line : line + len(dots)] = dots
                line += stride
        left = int((unix_s % _SWEEP_S) / _SWEEP_S * self._width)
        strip = self._sweep[self._width - left : 2 * self._width - left]
        for y in self._strip:
            luma[y * stride : y * stride + self._width] = strip

    def _background(self) -> None:
        for number, plane in enumerate(self.frame.planes):
            buffer = memoryview(plane)
            bars = b"".join(
                bytes([bar[number]]) * ((i + 1) * plane.width // len(_BARS) - i * plane.width // len(_BARS))
                for i, bar in enumerate(_BARS)
            )
            for y in range(plane.height):
                buffer[y * plane.line_size : y * plane.line_size + plane.width] = bars
            self._clear(buffer, plane.line_size, number)

    def _clear(self, buffer: memoryview, stride: int, number: int) -> None:
        """Make the two areas that are drawn in luma alone black, in plane `number`."""
        half, shade = (2, _GREY) if number else (1, BLACK)
        box_rows = range((self._top - self._dot) // half, (self._top + (ROWS + 1) * self._dot) // half)
        left = (self._left - self._dot) // half
        box = bytes([shade]) * ((_CHARACTERS * COLUMNS + 1) * self._dot // half)
        for y in box_rows:
            buffer[y * stride + left : y * stride + left + len(box)] = box
        line = bytes([shade]) * (self._width // half)
        for y in range(self._strip.start // half, self._strip.stop // half):
            buffer[y * stride : y * stride + len(line)] = line

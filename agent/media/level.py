"""The level of an H.264 stream: what its decoder has to bear (H.264, table A-1)."""

from __future__ import annotations

from typing import Final, NamedTuple


class _Limits(NamedTuple):
    idc: int
    macroblocks_a_second: int
    macroblocks: int
    bitrate_kbps: int


LEAST: Final = 31
"""What every browser's offer allows: 720p30. Nothing is won by saying less."""

_LEVELS: Final = (
    _Limits(LEAST, 108_000, 3_600, 14_000),
    _Limits(32, 216_000, 5_120, 20_000),
    _Limits(40, 245_760, 8_192, 20_000),
    _Limits(41, 245_760, 8_192, 50_000),
    _Limits(42, 522_240, 8_704, 50_000),
    _Limits(50, 589_824, 22_080, 135_000),
    _Limits(51, 983_040, 36_864, 240_000),
    _Limits(52, 2_073_600, 36_864, 240_000),
)


def level_idc(width: int, height: int, fps: float, bitrate_bps: int) -> int:
    """Give level_idc, ten times the level, of a stream of the baseline or main profile; the highest for all beyond."""
    columns, rows = -(-width // 16), -(-height // 16)
    for level in _LEVELS:
        if (
            columns * rows <= level.macroblocks
            and max(columns, rows) ** 2 <= 8 * level.macroblocks
            and columns * rows * fps <= level.macroblocks_a_second
            and bitrate_bps <= level.bitrate_kbps * 1_000
        ):
            return level.idc
    return _LEVELS[-1].idc

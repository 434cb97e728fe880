"""Levels, by table A-1 of H.264."""

from __future__ import annotations

import pytest

from agent.media.level import level_idc


@pytest.mark.parametrize(
    ("width", "height", "fps", "bitrate_bps", "level"),
    [
        (640, 360, 30, 600_000, 31),
        (1280, 720, 30, 2_000_000, 31),
        (1280, 720, 31, 2_000_000, 32),  # macroblocks a second
        (1280, 720, 30, 14_000_001, 32),  # bits a second
        (1280, 736, 30, 2_000_000, 32),  # macroblocks
        (1920, 1080, 30, 4_000_000, 40),
        (1920, 1080, 30, 20_000_001, 41),
        (1920, 1080, 60, 8_000_000, 42),
        (4096, 64, 10, 1_000_000, 40),  # longer than the root of eight times 5,120 macroblocks
        (3840, 2160, 30, 20_000_000, 51),
        (4096, 4096, 120, 50_000_000, 52),
    ],
)
def test_the_lowest_level_that_bears_it(width: int, height: int, fps: int, bitrate_bps: int, level: int) -> None:
    assert level_idc(width, height, fps, bitrate_bps) == level

"""Text in the picture: where it stands, what it leaves alone, and that it goes out with the time."""

from __future__ import annotations

import av
import pytest

from agent.capture.encoders import Encoders
from agent.capture.font import FONT
from agent.capture.overlay import Overlay
from agent.config import OVERLAY_CHARACTERS, CameraConfig
from tests.agent.capture.watching import decoded

GREY = 100


def _blank(width: int, height: int, pixels: str = "yuv420p") -> av.VideoFrame:
    frame = av.VideoFrame(width, height, pixels)
    for plane in frame.planes:
        plane.update(bytes((GREY,)) * plane.buffer_size)
    return frame


def _luma(frame: av.VideoFrame) -> list[bytes]:
    plane = frame.planes[0]
    data = bytes(plane)
    return [data[y * plane.line_size :][: frame.width] for y in range(frame.height)]


def test_the_font_has_all_that_may_be_written() -> None:
    assert set(FONT) >= OVERLAY_CHARACTERS


@pytest.mark.parametrize("pixels", ["yuv420p", "nv12"])
@pytest.mark.parametrize(("width", "height"), [(1920, 1080), (1280, 720), (640, 360), (322, 182)])
def test_text_stands_in_the_corner_white_on_black_and_nowhere_else(pixels: str, width: int, height: int) -> None:
    frame = _blank(width, height, pixels)
    Overlay("Yard 1").draw(frame)

    rows = _luma(frame)
    high = next(y for y, row in enumerate(rows) if row[0] == GREY)
    wide = next(x for x, shade in enumerate(rows[0]) if shade == GREY)
    assert (high % 2, wide % 2) == (0, 0)
    box = {shade for row in rows[:high] for shade in row[:wide]}
    around = {shade for row in rows[:high] for shade in row[wide:]} | {shade for row in rows[high:] for shade in row}
    assert (box, around) == ({16, 235}, {GREY})
    chroma = frame.planes[1]
    assert bytes(chroma)[: wide // 2] == bytes((128,)) * (wide // 2)
    assert bytes(chroma)[(high // 2) * chroma.line_size] == GREY


def test_a_text_that_is_too_long_is_cut_off_at_the_edge() -> None:
    frame = _blank(64, 64)
    Overlay("a" * 64).draw(frame)

    assert {row[-1] for row in _luma(frame)} <= {16, GREY}


def test_the_time_moves_on() -> None:
    now = [1_000_000_000.0]
    overlay = Overlay("{time}", now=lambda: now[0])
    seen = []
    for step_s in (0.0, 0.4, 1.0):
        now[0] += step_s
        frame = _blank(640, 360)
        overlay.draw(frame)
        seen.append(_luma(frame))

    assert seen[0] == seen[1] != seen[2]


def test_it_is_in_both_streams_that_are_encoded() -> None:
    config = CameraConfig(width=640, height=360, bitrate_bps=1_000_000, overlay="##########")
    encoders = Encoders(config)
    encoders.want_sub(True)
    units = [unit for index in range(3) for unit in encoders.encode(_blank(640, 360), index * 33_333)]

    for stream in ("main", "sub"):
        picture = decoded([unit for unit in units if unit.stream == stream])[-1]
        corner = b"".join(row[: picture.width // 8] for row in _luma(picture)[: picture.height // 20])
        assert max(corner) > 180
        assert min(corner) < 60

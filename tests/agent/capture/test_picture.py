from __future__ import annotations

import itertools
import os
import time

import av
import pytest

from agent.capture.encoder import Encoder
from agent.capture.font import FONT
from agent.capture.picture import Picture
from agent.config import CameraConfig
from agent.media.access_unit import AccessUnit
from tests.agent.capture.watching import decoded


@pytest.fixture(autouse=True)
def _utc(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()


def _luma(frame: av.VideoFrame) -> list[bytes]:
    plane = frame.planes[0]
    data = bytes(plane)
    return [data[y * plane.line_size : y * plane.line_size + frame.width] for y in range(frame.height)]


def _read(frame: av.VideoFrame) -> str:
    """Read the digits as a person does, by the font alone: find where they stand, then compare the dots."""
    dot = max(1, min(frame.width // 80, frame.height // 20))
    left, top = (frame.width - dot * 72) // 2, (frame.height - dot * 7) // 3
    rows = [_luma(frame)[top + row * dot + dot // 2] for row in range(7)]
    text = ""
    for character in range(12):
        seen = tuple(
            sum((row[left + (character * 6 + x) * dot + dot // 2] > 128) << (4 - x) for x in range(5)) for row in rows
        )
        text += next((name for name, dots in FONT.items() if dots == seen), "?")
    return text


@pytest.mark.parametrize(("width", "height"), [(1280, 720), (640, 360), (1920, 1080), (322, 240), (720, 1280)])
def test_the_time_can_be_read_off_the_encoded_picture(width: int, height: int) -> None:
    picture = Picture(width, height)
    encoder = Encoder(CameraConfig(width=width, height=height, bitrate_bps=4_000_000))
    units: list[AccessUnit] = []
    for index, unix_s in enumerate((3600 * 12 + 34 * 60 + 56.789, 3600 * 23 + 59 * 60 + 59.999, 0.0)):
        picture.draw(unix_s)
        units += encoder.encode(picture.frame, index * 33_333)

    assert [_read(frame) for frame in decoded(units)] == ["12:34:56.789", "23:59:59.999", "00:00:00.000"]


def test_every_picture_differs_from_the_one_before_in_digits_and_in_the_sweeping_block() -> None:
    picture = Picture(640, 360)
    strips, digits = [], []
    for index in range(10):
        picture.draw(index / 30)
        rows = _luma(picture.frame)
        strips.append(rows[-1])
        digits.append(rows[: 360 * 3 // 4])

    assert all(before != after for before, after in itertools.pairwise(strips))
    assert all(before != after for before, after in itertools.pairwise(digits))


def test_the_smallest_picture_of_the_configuration_can_be_drawn() -> None:
    picture = Picture(64, 64)

    picture.draw(0.0)

    assert len(set(map(bytes, _luma(picture.frame)))) > 2


def test_drawing_costs_a_small_part_of_a_frame_time() -> None:
    picture = Picture(1280, 720)
    before = time.thread_time()
    for index in range(100):
        picture.draw(index / 30)

    assert (time.thread_time() - before) / 100 < 0.003, f"load {os.getloadavg()}"

"""Each raw format, as a real driver lays it out: the same picture comes of all of them."""

from __future__ import annotations

import itertools
from pathlib import Path

import av
import pytest

from agent.capture import devices
from agent.capture.decode import Decoder
from agent.capture.modes import RAW, Chosen, choose
from agent.capture.reader import reading
from tests.guest import vivid

pytestmark = [pytest.mark.guest, pytest.mark.timeout(300)]

# Y, Cb, Cr of BT.601 in limited range. vivid's grey is Rec. 709's luma in full range, 54, which becomes limited here.
RED = (82, 90, 240)
GREY_OF_RED = (62, 128, 128)


def _picture(device: Path, fourcc: str, width: int, height: int) -> tuple[av.VideoFrame, int]:
    """Take the third picture, with the time from the one before, in microseconds."""
    with reading(device, Chosen(fourcc, width, height, 10, "for a test")) as reader:
        assert (reader.chosen.fourcc, reader.chosen.width, reader.chosen.height) == (fourcc, width, height)
        assert reader.chosen.fps == pytest.approx(10)
        decoder, times = Decoder(reader.chosen, reader.stride), []
        for data, at_us in itertools.islice(reader.pictures(lambda: False, 5), 3):
            (frame,) = decoder.frames(data)
            times.append(at_us)
    return frame, times[2] - times[1]


@pytest.mark.parametrize("fourcc", RAW)
def test_a_red_picture_is_red_in_every_format(camera_path: Path, fourcc: str) -> None:
    vivid.control("test_pattern", 7)  # all red
    vivid.control("osd_text_mode", 2)  # and nothing on it
    frame, step_us = _picture(camera_path, fourcc, 320, 180)

    assert step_us == pytest.approx(100_000, rel=0.2)
    for plane, shade in zip(frame.planes, GREY_OF_RED if fourcc == "GREY" else RED, strict=True):
        seen = bytes(plane)
        rows = [seen[y * plane.line_size : y * plane.line_size + plane.width] for y in range(plane.height)]
        mean = sum(map(sum, rows)) / (plane.width * plane.height)
        assert mean == pytest.approx(shade, abs=4)


def test_what_the_driver_lists_is_what_it_is_asked_for(camera_path: Path) -> None:
    modes = devices.modes(camera_path, 640, 360, 25)

    assert {mode.fourcc for mode in modes} == devices.formats(camera_path) >= set(RAW)
    assert {(mode.width, mode.height) for mode in modes} >= {(320, 180), (640, 360), (1280, 720)}
    assert all(25 in mode.rates_fps for mode in modes if (mode.width, mode.height) == (320, 180))
    chosen = choose(modes, 640, 360, 25)
    assert chosen is not None
    assert chosen.why == "YU12 640x360 at 25 fps, raw, which needs no decoding"

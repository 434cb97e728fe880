from __future__ import annotations

import pytest

from agent.capture.decode import Decoder
from agent.capture.modes import Chosen

WIDTH, HEIGHT = 48, 16
LUMA, CB, CR = 90, 60, 200


def _mode(fourcc: str) -> Chosen:
    return Chosen(fourcc, WIDTH, HEIGHT, 30, "for a test")


def _rows(row: bytes, count: int, stride: int) -> bytes:
    return row.ljust(stride, b"\xff") * count


def _picture(fourcc: str, padding: int) -> tuple[bytes, int]:
    """Lay out a picture of one colour as a driver does, each row with padding; and the first plane's stride."""
    luma = bytes([LUMA]) * WIDTH
    if fourcc in ("YUYV", "UYVY", "YVYU"):
        shades = {"Y": LUMA, "U": CB, "V": CR}
        stride = 2 * WIDTH + padding
        return _rows(bytes(shades[name] for name in fourcc) * (WIDTH // 2), HEIGHT, stride), stride
    stride = WIDTH + padding
    if fourcc == "YU12":
        half = [_rows(bytes([shade]) * (WIDTH // 2), HEIGHT // 2, stride // 2) for shade in (CB, CR)]
        return _rows(luma, HEIGHT, stride) + b"".join(half), stride
    pair = bytes([CB, CR] if fourcc == "NV12" else [CR, CB])
    return _rows(luma, HEIGHT, stride) + _rows(pair * (WIDTH // 2), HEIGHT // 2, stride), stride


@pytest.mark.parametrize("padding", [0, 16, 80])
@pytest.mark.parametrize("fourcc", ["YUYV", "UYVY", "YVYU", "YU12", "NV12", "NV21"])
def test_raw_pictures_of_any_stride_keep_their_colour(fourcc: str, padding: int) -> None:
    data, stride = _picture(fourcc, padding)

    (frame,) = Decoder(_mode(fourcc), stride).frames(memoryview(data))

    assert (frame.format.name, frame.width, frame.height) == ("yuv420p", WIDTH, HEIGHT)
    for plane, shade in zip(frame.planes, (LUMA, CB, CR), strict=True):
        seen = bytes(plane)
        rows = [seen[y * plane.line_size : y * plane.line_size + plane.width] for y in range(plane.height)]
        assert {byte for row in rows for byte in row} == {shade}


@pytest.mark.parametrize("fourcc", ["YUYV", "YU12", "NV12"])
def test_a_raw_picture_that_is_cut_short_is_left_out(fourcc: str) -> None:
    data, stride = _picture(fourcc, 0)

    assert list(Decoder(_mode(fourcc), stride).frames(memoryview(data)[:-1])) == []


@pytest.mark.parametrize("data", [b"\xff", b"\xff\xd8\xff\xd9", b"no picture at all"])
def test_what_is_no_jpeg_is_left_out(data: bytes) -> None:
    assert list(Decoder(_mode("MJPG"), 0).frames(memoryview(data))) == []

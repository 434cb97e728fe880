"""The choice of a sensor's mode, on what known sensors have.

imx219 is a list that a user of picamera2 got (raspberrypi/picamera2#683), imx477 after raspberrypi/rpicam-apps#312 and
raspberrypi/linux#6208. ov5647 and imx708 are written down from what is known of them, and recorded on no board yet.
"""

from __future__ import annotations

from typing import Any

import pytest

from agent.capture.sensor_modes import Mode, best, modes

# Of each mode: pixels, most pictures a second, and what it shows of the sensor (x, y, width, height); per bit depth.
SENSORS: dict[str, tuple[tuple[int, ...], list[tuple[tuple[int, int], float, tuple[int, int, int, int]]]]] = {
    "ov5647": (
        (10,),
        [
            ((640, 480), 58.92, (16, 0, 2560, 1920)),
            ((1296, 972), 43.25, (0, 0, 2592, 1944)),
            ((1920, 1080), 30.62, (348, 434, 1928, 1080)),
            ((2592, 1944), 15.63, (0, 0, 2592, 1944)),
        ],
    ),
    "imx219": (
        (8, 10),
        [
            ((640, 480), 103.33, (1000, 752, 1280, 960)),
            ((1640, 1232), 41.85, (0, 0, 3280, 2464)),
            ((1920, 1080), 47.57, (680, 692, 1920, 1080)),
            ((3280, 2464), 21.19, (0, 0, 3280, 2464)),
        ],
    ),
    "imx708": (
        (10,),
        [
            ((1536, 864), 120.13, (768, 432, 3072, 1728)),
            ((2304, 1296), 56.03, (0, 0, 4608, 2592)),
            ((4608, 2592), 14.35, (0, 0, 4608, 2592)),
        ],
    ),
    "imx477": (
        (12,),
        [
            ((2028, 1080), 50.03, (0, 440, 4056, 2160)),
            ((2028, 1520), 40.01, (0, 0, 4056, 3040)),
            ((4056, 3040), 10.0, (0, 0, 4056, 3040)),
        ],
    ),
}


def listed(sensor: str) -> list[dict[str, Any]]:
    """A list as picamera2's `sensor_modes` gives it."""
    depths, rows = SENSORS[sensor]
    found = [
        {"size": size, "fps": fps, "crop_limits": area, "bit_depth": depth, "format": f"SRGGB{depth}"}
        for depth in depths
        for size, fps, area in rows
    ]
    if sensor == "imx477":  # its fast mode has fewer bits
        found.append({"size": (1332, 990), "fps": 120.05, "crop_limits": (696, 528, 2664, 1980), "bit_depth": 10})
    return found


@pytest.mark.parametrize(
    ("sensor", "width", "height", "fps", "size"),
    [
        ("ov5647", 640, 480, 30, (640, 480)),
        ("ov5647", 800, 600, 30, (1296, 972)),
        ("ov5647", 1280, 720, 30, (1296, 972)),
        ("ov5647", 1920, 1080, 30, (1920, 1080)),
        ("ov5647", 1920, 1080, 15, (2592, 1944)),
        ("imx219", 1280, 720, 30, (1640, 1232)),
        ("imx219", 1920, 1080, 30, (1920, 1080)),
        ("imx219", 1920, 1080, 20, (3280, 2464)),
        ("imx219", 640, 480, 90, (640, 480)),
        ("imx708", 1280, 720, 30, (2304, 1296)),
        ("imx708", 1280, 720, 100, (1536, 864)),
        ("imx708", 1920, 1080, 50, (2304, 1296)),
        ("imx708", 3840, 2160, 10, (4608, 2592)),
        ("imx477", 1280, 720, 30, (2028, 1080)),
        ("imx477", 1920, 1080, 30, (2028, 1080)),
        ("imx477", 1440, 1080, 30, (2028, 1520)),
        ("imx477", 1280, 720, 100, (1332, 990)),
    ],
)
def test_the_mode_is_fast_and_sharp_enough_and_shows_the_most(
    sensor: str, width: int, height: int, fps: int, size: tuple[int, int]
) -> None:
    mode = best(modes(listed(sensor)), width, height, fps)
    assert mode is not None
    assert (mode.width, mode.height) == size


def test_of_modes_that_differ_in_nothing_else_the_one_with_more_bits_is_taken() -> None:
    mode = best(modes(listed("imx219")), 1280, 720, 30)
    assert mode == Mode(width=1640, height=1232, bit_depth=10, fps=41.85, view=(3280, 2464))


def test_a_picture_larger_than_any_fast_mode_gets_the_sharpest_of_them() -> None:
    mode = best(modes(listed("imx708")), 3840, 2160, 30)
    assert mode is not None
    assert (mode.width, mode.height) == (2304, 1296)


def test_a_sensor_that_is_nowhere_fast_enough_gives_its_fastest_mode() -> None:
    mode = best(modes(listed("ov5647")), 640, 480, 120)
    assert mode is not None
    assert mode.fps == 58.92


def test_what_is_no_raw_mode_is_left_out() -> None:
    assert modes([{"format": "YUYV"}]) == []
    assert best([], 640, 480, 30) is None

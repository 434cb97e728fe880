"""The Pi's camera where there is neither a Pi nor picamera2. What it does with both stands in tests/board."""

from __future__ import annotations

import importlib.util

import pytest

from agent.capture.picamera import Picamera
from agent.capture.picamera_open import Found, cameras, choice
from agent.capture.source import CaptureError, PermanentCaptureError, TemporaryCaptureError
from agent.config import CameraConfig

FRONT = Found(number=0, id="/base/soc/i2c0mux/i2c@1/imx219@10", model="imx219")
BACK = Found(number=1, id="/base/soc/i2c0mux/i2c@0/imx219@10", model="imx219")
SIDE = Found(number=2, id="/base/soc/usb@1/imx708@1a", model="imx708")


def test_without_picamera2_the_error_says_how_to_install_it() -> None:
    assert importlib.util.find_spec("picamera2") is None, "this test is for machines without picamera2"

    for ask in (cameras, lambda: Picamera(CameraConfig(source="picamera"))):
        with pytest.raises(PermanentCaptureError) as missing:
            ask()
        assert "apt install python3-picamera2" in str(missing.value)
        assert "--system-site-packages" in str(missing.value)


@pytest.mark.parametrize(
    ("wanted", "camera"),
    [("", FRONT), ("0", FRONT), ("2", SIDE), ("imx708", SIDE), ("IMX708", SIDE), (BACK.id, BACK)],
)
def test_a_camera_is_chosen_by_its_id_its_sensor_or_its_number(wanted: str, camera: Found) -> None:
    assert choice(wanted, [FRONT, BACK, SIDE]) == camera


@pytest.mark.parametrize(
    ("wanted", "kind", "why"),
    [
        ("imx477", TemporaryCaptureError, "libcamera sees no camera imx477, but imx219 (/base"),
        ("3", TemporaryCaptureError, "plug it in, or set camera.source"),
        (
            "imx219",
            PermanentCaptureError,
            f"several cameras are imx219: set camera.source to picamera: and one of {FRONT.id}",
        ),
    ],
)
def test_a_camera_that_cannot_be_chosen_is_an_error_that_names_those_that_can(
    wanted: str, kind: type[CaptureError], why: str
) -> None:
    with pytest.raises(kind) as refused:
        choice(wanted, [FRONT, BACK, SIDE])
    assert why in str(refused.value)


def test_without_any_camera_the_error_says_where_to_look() -> None:
    with pytest.raises(TemporaryCaptureError, match="check the ribbon cable"):
        choice("", [])

"""Settings to libcamera's controls, on a camera with everything: as picamera2 lists one, recorded on no board yet."""

from __future__ import annotations

import math
from typing import Any

import pytest

from agent.capture.camera_controls import Range, UnfitControl, at_start, ranges, translated, while_running
from agent.config import CameraConfig

OFFERED: dict[str, tuple[Any, Any, Any]] = {
    "ExposureTime": (26, 220_416_802, 20_000),
    "AnalogueGain": (1.1228070259094238, 16.0, 1.1228070259094238),
    "AwbEnable": (False, True, None),
    "AwbMode": (0, 7, 0),
    "AfMode": (0, 2, 0),
    "LensPosition": (0.0, 15.0, 1.0),
    "ScalerCrop": ((768, 432, 64, 64), (0, 0, 4608, 2592), (0, 0, 4608, 2592)),
    "FrameDurationLimits": (17_849, 220_535_845, 33_333),
    "HdrMode": (0, 4, 0),
}
BARE = {"FrameDurationLimits": (20_000, 66_666, 33_333)}


def test_by_itself_only_rate_and_focus_are_set() -> None:
    assert at_start(CameraConfig(), OFFERED) == {"FrameDurationLimits": (33_333, 33_333), "AfMode": 2}
    assert at_start(CameraConfig(), BARE) == {"FrameDurationLimits": (33_333, 33_333)}
    assert at_start(CameraConfig(), {}) == {}


def test_everything_that_is_configured_is_set() -> None:
    config = CameraConfig(
        fps=50, exposure_us=8000, gain=2.0, white_balance="cloudy", focus_dpt=4.0, zoom=2.0, hdr="night"
    )
    assert at_start(config, OFFERED) == {
        "FrameDurationLimits": (20_000, 20_000),
        "ExposureTime": 8000,
        "AnalogueGain": 2.0,
        "AwbEnable": True,
        "AwbMode": 6,
        "AfMode": 0,
        "LensPosition": 4.0,
        "ScalerCrop": (1152, 648, 2304, 1296),
        "HdrMode": 4,
    }


@pytest.mark.parametrize(
    ("setting", "value", "controls"),
    [
        ("exposure_us", 0, {"ExposureTime": 0}),
        ("gain", 0, {"AnalogueGain": 0}),
        ("white_balance", "auto", {"AwbEnable": True, "AwbMode": 0}),
        ("focus_dpt", None, {"AfMode": 2}),
        ("zoom", 1, {"ScalerCrop": (0, 0, 4608, 2592)}),
        ("zoom", 4, {"ScalerCrop": (1728, 972, 1152, 648)}),
        ("hdr", "off", {"HdrMode": 0}),
    ],
)
def test_a_setting_goes_back_to_what_the_camera_likes_while_it_runs(
    setting: str, value: Any, controls: dict[str, Any]
) -> None:
    assert translated(setting, value, OFFERED) == controls


@pytest.mark.parametrize(
    ("setting", "value", "takes"),
    [
        ("exposure_us", 5, "26 to 2.20417e+08"),
        ("gain", 32.0, "1.12281 to 16"),
        ("focus_dpt", 20.0, "0 to 15"),
        ("fps", 60, "0 to 56.03"),
        ("zoom", 50.0, "1 to 40.5"),
        ("zoom", 0.5, "1 to 40.5"),
        ("white_balance", "pink", "0 to 7"),
    ],
)
def test_what_lies_outside_the_cameras_range_is_refused_with_the_range(setting: str, value: Any, takes: str) -> None:
    with pytest.raises(UnfitControl) as refused:
        translated(setting, value, OFFERED)
    assert str(refused.value) == f"camera.{setting} = {value!r}: this camera takes {takes}"


def test_what_the_camera_has_not_is_refused_by_name() -> None:
    with pytest.raises(
        UnfitControl, match=r"camera\.focus_dpt = 1\.0: this camera has no such control \(LensPosition\)"
    ):
        at_start(CameraConfig(focus_dpt=1.0), BARE)
    with pytest.raises(UnfitControl, match=r"camera\.hflip cannot be set while the camera runs; these can: fps, "):
        translated("hflip", True, OFFERED)


def test_the_ranges_are_those_of_the_camera_in_the_settings_units() -> None:
    assert ranges(BARE) == {"fps": Range(low=15.0, high=50.0)}
    found = ranges(OFFERED)
    assert found.keys() == {"fps", "exposure_us", "gain", "white_balance", "focus_dpt", "zoom", "hdr"}
    assert found["zoom"] == Range(low=1, high=40.5)


@pytest.mark.parametrize(
    ("setting", "value", "why"),
    [
        ("fps", 0, "camera.fps = 0 is not allowed: 1 to 120"),
        ("fps", True, "camera.fps = True is not allowed: 1 to 120"),
        ("fps", "30", "camera.fps = '30' is not allowed: 1 to 120"),
        ("exposure_us", 20_000_000, "camera.exposure_us = 20000000 is not allowed: 0 to 1000000"),
        ("exposure_us", 99.5, "camera.exposure_us = 99.5 is not allowed: 0 to 1000000"),
        ("gain", math.nan, "camera.gain = nan is not allowed: 0, or 1 to 64"),
        ("zoom", 10**400, f"camera.zoom = {10**400} is not allowed: 1 to 16"),
        ("zoom", math.inf, "camera.zoom = inf is not allowed: 1 to 16"),
        ("zoom", None, "camera.zoom = None is not allowed: 1 to 16"),
        ("hdr", 3, "camera.hdr = 3 is not allowed: off, multi, single, night"),
        ("focus_dpt", 20, "camera.focus_dpt = 20.0: this camera takes 0 to 15"),
    ],
)
def test_a_change_is_refused_where_the_file_may_not_say_it_or_the_camera_cannot(
    setting: str, value: Any, why: str
) -> None:
    with pytest.raises(UnfitControl) as refused:
        while_running(setting, value, OFFERED)
    assert str(refused.value) == why


def test_a_change_is_translated_as_the_configuration_is() -> None:
    assert while_running("zoom", 4, OFFERED) == {"ScalerCrop": (1728, 972, 1152, 648)}
    assert while_running("focus_dpt", None, OFFERED) == {"AfMode": 2}
    assert while_running("hdr", "night", OFFERED) == {"HdrMode": 4}

"""A camera's controls: from our settings to libcamera's, within what the camera offers. Pure.

`offered` is picamera2's `camera_controls`: of each libcamera control its least, greatest and default value. What a
camera offers depends on the sensor's mode, so it is asked after the camera is configured.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from agent.config import HDR, WHITE_BALANCES, CameraConfig, ConfigError
from agent.config_file import camera_setting

Offered = Mapping[str, tuple[Any, Any, Any]]

_CONTINUOUS, _MANUAL = 2, 0  # libcamera's AfMode


class UnfitControl(ValueError):
    """This camera cannot do that; the message names the setting, the value and what it can."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Range:
    """What a setting may be on this camera, in the setting's own unit."""

    low: float
    high: float

    def __str__(self) -> str:
        """Say it as an error message does."""
        return f"{self.low:g} to {self.high:g}"


def asleep(setting: str) -> UnfitControl:
    """Say that there is nothing to set."""
    return UnfitControl(f"camera.{setting} cannot be set: the camera does not run")


def ranges(offered: Offered) -> dict[str, Range]:
    """Say of each setting that this camera has what it may be; white_balance and hdr by libcamera's numbers."""
    found = {}
    for setting, (control, range_of, _) in _SETTINGS.items():
        if control in offered:
            found[setting] = range_of(*offered[control][:2])
    return found


def at_start(config: CameraConfig, offered: Offered) -> dict[str, Any]:
    """Translate what the configuration says otherwise than "as the camera likes". Errors: UnfitControl."""
    controls: dict[str, Any] = {}
    # USB cameras keep a rate of their own, and a lens that moves is the exception.
    if "FrameDurationLimits" in offered:
        controls |= translated("fps", config.fps, offered)
    if config.focus_dpt is not None or "AfMode" in offered:
        controls |= translated("focus_dpt", config.focus_dpt, offered)
    for setting in ("exposure_us", "gain", "white_balance", "zoom", "hdr"):
        value = getattr(config, setting)
        if value != _AS_IT_LIKES[setting]:
            controls |= translated(setting, value, offered)
    return controls


def while_running(setting: str, value: Any, offered: Offered) -> dict[str, Any]:
    """Translate what somebody asks for, of whatever type. Errors: UnfitControl, also for what no file may say.

    Some of that is within a camera's range and would yet end its run, as an exposure of minutes.
    """
    if setting in _SETTINGS:
        try:
            value = camera_setting(setting, value)
        except ConfigError as error:
            raise UnfitControl(str(error)) from error
    return translated(setting, value, offered)


def translated(setting: str, value: Any, offered: Offered) -> dict[str, Any]:
    """Make libcamera's controls of one setting. Errors: UnfitControl."""
    if setting not in _SETTINGS:
        raise UnfitControl(f"camera.{setting} cannot be set while the camera runs; these can: {', '.join(_SETTINGS)}")
    control, range_of, translate = _SETTINGS[setting]
    if control not in offered:
        raise UnfitControl(f"camera.{setting} = {value!r}: this camera has no such control ({control})")
    low, high, _ = offered[control]
    controls, judged = translate(value, offered)
    # Compared in libcamera's unit, where rounding has been done.
    if judged is not None and not low <= judged <= high:
        raise UnfitControl(f"camera.{setting} = {value!r}: this camera takes {range_of(low, high)}")
    return controls


_Translation = tuple[dict[str, Any], Any]
"""Controls, and of them what has to lie within the range; None where any value is good."""


def _exposure(exposure_us: int, offered: Offered) -> _Translation:
    # Exposure and gain of 0 are picamera2's word for automatic.
    return {"ExposureTime": exposure_us}, exposure_us or None


def _gain(gain: float, offered: Offered) -> _Translation:
    return {"AnalogueGain": gain}, gain or None


def _white_balance(name: str, offered: Offered) -> _Translation:
    number = WHITE_BALANCES.get(name, -1)
    return {"AwbEnable": True, "AwbMode": number}, number


def _focus(focus_dpt: float | None, offered: Offered) -> _Translation:
    if focus_dpt is None:
        return {"AfMode": _CONTINUOUS}, None
    return {"AfMode": _MANUAL, "LensPosition": focus_dpt}, focus_dpt


def _fps(fps: int, offered: Offered) -> _Translation:
    frame_us = 1_000_000 // fps
    return {"FrameDurationLimits": (frame_us, frame_us)}, frame_us


def _hdr(name: str, offered: Offered) -> _Translation:
    number = HDR.get(name, -1)
    return {"HdrMode": number}, number


def _zoom(zoom: float, offered: Offered) -> _Translation:
    x, y, width, height = offered["ScalerCrop"][2]
    wide, high = (int(side / zoom) // 2 * 2 for side in (width, height))
    crop = (x + (width - wide) // 2, y + (height - high) // 2, wide, high)
    least = offered["ScalerCrop"][0]
    if zoom < 1 or wide < least[2] or high < least[3]:
        raise UnfitControl(f"camera.zoom = {zoom!r}: this camera takes {_zooms(least, (x, y, width, height))}")
    return {"ScalerCrop": crop}, None


def _plain(low: float, high: float) -> Range:
    return Range(low=low, high=high)


def _rates(shortest_us: int, longest_us: int) -> Range:
    return Range(low=round(1_000_000 / longest_us, 2), high=round(1_000_000 / shortest_us, 2))


def _zooms(least: tuple[int, ...], most: tuple[int, ...]) -> Range:
    return Range(low=1, high=round(min(most[2] / max(least[2], 1), most[3] / max(least[3], 1)), 1))


# Of each setting: libcamera's control whose range counts, how to say that range, and how to translate a value.
_SETTINGS: dict[str, tuple[str, Callable[[Any, Any], Range], Callable[[Any, Offered], _Translation]]] = {
    "fps": ("FrameDurationLimits", _rates, _fps),
    "exposure_us": ("ExposureTime", _plain, _exposure),
    "gain": ("AnalogueGain", _plain, _gain),
    "white_balance": ("AwbMode", _plain, _white_balance),
    "focus_dpt": ("LensPosition", _plain, _focus),
    "zoom": ("ScalerCrop", _zooms, _zoom),
    "hdr": ("HdrMode", _plain, _hdr),
}
_AS_IT_LIKES = {"exposure_us": 0, "gain": 0.0, "white_balance": "auto", "zoom": 1.0, "hdr": "off"}

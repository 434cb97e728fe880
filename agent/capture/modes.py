"""In which format, size and rate to take a camera's pictures: as near to the wanted as it has, at the least cost."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

Kind = Literal["h264", "raw", "mjpeg"]

# V4L2's four characters, with FFmpeg's name: the cheapest to bring to yuv420p first.
RAW = {
    "YU12": "yuv420p",
    "NV12": "nv12",
    "NV21": "nv21",
    "YUYV": "yuyv422",
    "UYVY": "uyvy422",
    "YVYU": "yvyu422",
    "GREY": "gray",
    "RGB3": "rgb24",
    "BGR3": "bgr24",
}
_COSTS = ("H264", *RAW, "MJPG", "JPEG")

# Cameras say 30.00003, and 29.97 is 30 to whoever asks for it.
_SAME_FPS = 0.99


@dataclass(frozen=True, slots=True)
class Mode:
    """One format of a camera at one size in pixels; `rates_fps` is empty where the driver does not list them."""

    fourcc: str
    width: int
    height: int
    rates_fps: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True)
class Chosen:
    """What to ask the driver for, and why in one line."""

    fourcc: str
    width: int
    height: int
    fps: float
    why: str


def kind_of(fourcc: str) -> Kind:
    """Say what has to be done with such pictures: nothing, encoding, or decoding and encoding."""
    return "h264" if fourcc == "H264" else "raw" if fourcc in RAW else "mjpeg"


def nearest(least: float, most: float, step: float, wanted: float) -> float:
    """Find the value of a range that is nearest to `wanted`; a step of 0 is a range without steps."""
    inside = min(max(wanted, least), most)
    return least + round((inside - least) / step) * step if step else inside


def choose(modes: Iterable[Mode], width: int, height: int, fps: float, *, h264_last: bool = False) -> Chosen | None:
    """Choose among what a camera offers; None where nothing of it can be used.

    At least half the wanted rate goes before all, or the largest picture of a slow camera would be a slide show; then
    the nearest size and shape, then the nearest rate. What is equal so far is decided by cost: the camera's own H.264,
    else raw pictures, else MJPEG, which has to be decoded first. With `h264_last`, for a camera whose H.264 began
    with no keyframe, anything else goes before that.
    """
    usable = [mode for mode in modes if mode.fourcc in _COSTS and (mode.fourcc == "H264" or _even(mode))]
    if not usable:
        return None

    def misses(mode: Mode) -> tuple[bool, bool, float, float, int]:
        rate = _rate(mode, fps)
        shape = abs(mode.width * height / (mode.height * width) - 1)
        size = abs(mode.width - width) / width + abs(mode.height - height) / height
        last = h264_last and mode.fourcc == "H264"
        return last, rate < fps / 2, size + shape, _rate_miss(rate, fps), _COSTS.index(mode.fourcc)

    best = min(usable, key=misses)
    why = _why(best, usable, width, height, fps)
    if h264_last:
        why += "; it offers nothing else" if best.fourcc == "H264" else "; its own H.264 began with no keyframe"
    return Chosen(best.fourcc, best.width, best.height, _rate(best, fps), why)


def _even(mode: Mode) -> bool:
    return mode.width % 2 == mode.height % 2 == 0  # chroma is halved, so no encoder takes another


def _rate(mode: Mode, fps: float) -> float:
    return min(mode.rates_fps, key=lambda rate: _rate_miss(rate, fps), default=fps)


def _rate_miss(rate: float, fps: float) -> float:
    """How far a rate is from the wanted one; too many pictures cost, too few are missed: those count double."""
    if fps * _SAME_FPS <= rate <= fps / _SAME_FPS:
        return 0.0
    return rate - fps if rate > fps else 2 * (fps - rate)


def _why(best: Mode, usable: list[Mode], width: int, height: int, fps: float) -> str:
    rate = _rate(best, fps)
    text = f"{best.fourcc} {best.width}x{best.height} at {rate:.4g} fps"
    kind = kind_of(best.fourcc)
    if kind == "h264":
        text += ", the camera's own H.264"
    elif kind == "raw":
        text += ", raw, which needs no decoding"
    else:
        raw = [
            _rate(mode, fps)
            for mode in usable
            if kind_of(mode.fourcc) == "raw" and (mode.width, mode.height) == (best.width, best.height)
        ]
        text += f", because raw reaches {max(raw):.4g} fps" if raw else ", because there is no raw picture of this size"
    if (best.width, best.height) != (width, height):
        text += f"; the nearest that it has to {width}x{height}"
    if _rate_miss(rate, fps):
        text += f"; {fps:.4g} fps is not among its rates"
    return text

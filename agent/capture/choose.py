"""Which camera: from the name in the configuration to a Source. A kind's modules load when it is taken."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from functools import partial
from pathlib import Path

from agent.capture import devices
from agent.capture.source import CaptureError, Source, TemporaryCaptureError
from agent.config import CameraConfig


class Choice:
    """Makes a Source for each run, and says in one line which it is and why.

    `auto` that has found a camera stays with its kind: one that is unplugged is waited for, and never turns into the
    test pattern before somebody's eyes. A V4L2 camera whose own H.264 led to no picture is kept in mind too.
    """

    def __init__(self, config: CameraConfig) -> None:
        self._config = config
        self._kind, _, self._argument = config.source.partition(":")
        self._kinds = _KINDS | {"v4l2": partial(_v4l2, keyframeless=set())}  # what one run learnt is for the next

    def __call__(self) -> tuple[Source, str]:
        """Make the next Source. Errors: CaptureError."""
        if self._kind == "auto":
            return self._auto()
        source = self._kinds[self._kind](self._config, self._argument)
        return source, f"{source.name}: {'as before' if self._config.source == 'auto' else 'as configured'}"

    def _auto(self) -> tuple[Source, str]:
        missing = []
        if importlib.util.find_spec("picamera2") is None:
            missing.append("picamera2 is not installed")
        else:
            try:
                source = _picamera(self._config, "")
            except CaptureError as error:
                missing.append(str(error))
            else:
                self._kind = "picamera"
                return source, f"auto: {source.name}, the first camera that libcamera sees"
        if found := devices.cameras():
            source = self._kinds["v4l2"](self._config, str(found[0]))
            self._kind = "v4l2"
            return source, f"auto: {source.name}, the first V4L2 camera"
        missing.append("no /dev/video* is a camera")
        source = _pattern(self._config, "")
        return source, f"auto: no camera found ({', '.join(missing)}), so the test pattern"


def _pattern(config: CameraConfig, argument: str) -> Source:
    from agent.capture.pattern import Pattern

    return Pattern(config)


def _clip(config: CameraConfig, argument: str) -> Source:
    from agent.capture.clip import Clip

    return Clip(Path(argument))


def _v4l2(config: CameraConfig, argument: str, *, keyframeless: set[Path]) -> Source:
    from agent.capture.v4l2 import V4l2

    found = [Path(argument)] if argument else devices.cameras()
    if not found:
        raise TemporaryCaptureError("no /dev/video* is a camera; plug one in, or set camera.source")
    return V4l2(config, found[0], keyframeless=keyframeless)


def _picamera(config: CameraConfig, argument: str) -> Source:
    from agent.capture.picamera import Picamera

    return Picamera(config, argument)


def _rtsp(config: CameraConfig, argument: str) -> Source:
    from agent.capture.rtsp import Rtsp

    return Rtsp(config)


_KINDS: dict[str, Callable[[CameraConfig, str], Source]] = {
    "pattern": _pattern,
    "clip": _clip,
    "picamera": _picamera,
    "rtsp": _rtsp,
}

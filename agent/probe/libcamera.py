"""The cameras that libcamera sees: through picamera2, as the agent does, else as rpicam-hello lists them."""

from __future__ import annotations

import importlib.util
import os
import re
from importlib import metadata
from typing import Final

from agent.capture import picamera_open
from agent.capture.source import CaptureError
from agent.probe import commands
from agent.probe.facts import Libcamera, Sensor

_DENIED: Final = "Could not open any dmaHeap device"
_LISTERS: Final = ("rpicam-hello", "libcamera-hello")  # its name since, and before, Debian 12
_CAMERA: Final = re.compile(r"^\s*\d+ : (.+?) \[(\d+x\d+)[^\]]*\] \(([^)]+)\)", re.MULTILINE)


def read() -> Libcamera:
    """Ask what there is; what does not load or work is a problem in words, and never an error."""
    version = _version()
    os.environ.setdefault("LIBCAMERA_LOG_LEVELS", "*:ERROR")  # it else tells on stderr how it looks for them
    try:
        models, problem = [camera.model for camera in picamera_open.cameras()], None
    except CaptureError as error:
        models, problem = [], str(error)
    except Exception as error:  # noqa: BLE001 - what a libcamera that does not fit raises is anybody's guess
        models, problem = [], f"picamera2 does not work here: {type(error).__name__}: {error}"
    sensors, seen_by, denied = tuple(Sensor(model=model, size=None, path=None) for model in models), "picamera2", False
    for lister in _LISTERS:
        if not sensors:
            answer = commands.said(lister, "--list-cameras")
            sensors, seen_by = listed(answer.output + answer.errors), lister
            denied = denied or _DENIED in answer.output + answer.errors
    return Libcamera(
        picamera2=version, problem=problem, denied=denied, seen_by=seen_by if sensors else None, sensors=sensors
    )


def listed(output: str) -> tuple[Sensor, ...]:
    """Read what `rpicam-hello --list-cameras` says, in its form of any year."""
    return tuple(Sensor(model=model, size=size, path=path) for model, size, path in _CAMERA.findall(output))


def _version() -> str | None:
    if importlib.util.find_spec("picamera2") is None:
        return None
    try:
        return metadata.version("picamera2")
    except metadata.PackageNotFoundError:
        return "installed"

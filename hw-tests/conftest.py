"""What this board is to be tried with: its own cameras, or those that are named."""

from __future__ import annotations

import importlib.util

import pytest

from agent.capture import devices

_NO_CAMERA = "no camera: picamera2 sees none or is not installed, and no /dev/video* is one"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--source", action="append", default=[], help="a camera.source to try instead of the board's own")
    parser.addoption("--pins", help="OUT,IN: two pins (BCM numbers) that are wired together")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "source" in metafunc.fixturenames:
        sources = metafunc.config.getoption("--source") or _own()
        metafunc.parametrize("source", sources or [pytest.param("none", marks=pytest.mark.skip(reason=_NO_CAMERA))])


def _own() -> list[str]:
    libcamera = []
    if importlib.util.find_spec("picamera2") is not None:
        from agent.capture.picamera_open import cameras

        libcamera = [f"picamera:{camera.id}" for camera in cameras()]
    return libcamera + [f"v4l2:{device}" for device in devices.cameras()]

"""The Pi's camera where there is neither a Pi nor picamera2. All else about it is unproven until hw-tests runs it."""

from __future__ import annotations

import importlib.util

import pytest

from agent.capture.picamera import Picamera, cameras
from agent.capture.source import PermanentCaptureError
from agent.config import CameraConfig


def test_without_picamera2_the_error_says_how_to_install_it() -> None:
    assert importlib.util.find_spec("picamera2") is None, "this test is for machines without picamera2"

    for ask in (cameras, lambda: Picamera(CameraConfig(source="picamera"))):
        with pytest.raises(PermanentCaptureError) as missing:
            ask()
        assert "apt install python3-picamera2" in str(missing.value)
        assert "--system-site-packages" in str(missing.value)

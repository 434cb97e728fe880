"""On the virtual board: the real libcamera and the real picamera2, without hardware. `make board` runs these."""

from __future__ import annotations

import pytest

from tests.board import workarounds


@pytest.fixture(scope="session", autouse=True)
def board() -> None:
    """Make picamera2 fit for the virtual cameras."""
    workarounds.apply()

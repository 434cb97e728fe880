from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.guest import vivid


@pytest.fixture
def camera_path() -> Iterator[Path]:
    """A camera that has just been plugged in, by a name that does not change."""
    assert "CAMWARD_GUEST_MODULES" in os.environ, "this is a test for the guest: `make guest` runs it"
    vivid.load()
    yield vivid.DEVICE
    vivid.unload()

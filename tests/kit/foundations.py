"""What a test says of another project's private side that ours stands on."""

from __future__ import annotations

import inspect
from collections.abc import Callable


def moved(what: str) -> str:
    """Say that something is gone."""
    return f"{what} is not there any more, and agent/webrtc/seams/ stands on it"


def takes(function: Callable[..., object]) -> list[str]:
    """Name the arguments of a function."""
    return list(inspect.signature(function).parameters)

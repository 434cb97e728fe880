"""A viewer of a stream that only remembers what it was handed."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from agent.media.access_unit import AccessUnit
from agent.media.packetize import Packetized


class Onlooker:
    """Takes every picture, and calls `wake` for each."""

    def __init__(self, wake: Callable[[], None] = lambda: None) -> None:
        self._wake = wake
        self._units: deque[AccessUnit] = deque()

    def take(self, packetized: Packetized, now: float) -> bool:
        """Remember it."""
        self._units.append(packetized.unit)
        self._wake()
        return False

    def pop(self) -> AccessUnit | None:
        """Give the oldest one that was not given yet."""
        return self._units.popleft() if self._units else None

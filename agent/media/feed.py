"""One viewer's queue of access units, and its drop rule."""

from __future__ import annotations

from collections import deque
from typing import Final

from agent.media.packetize import Packetized

BOUND: Final = 30
"""Access units a viewer may be behind: a second at 30 fps. Beyond that a fresh keyframe costs less than the delay."""


class Feed:
    """A bounded queue that one viewer is served from.

    Drop rule: a viewer starts on a keyframe. One that is `bound` access units behind loses all of them and
    starts again on the next keyframe; what it could not show until then is left out. All of it is counted.
    """

    def __init__(self, *, bound: int = BOUND) -> None:
        self.dropped = 0
        self._bound = bound
        self._units: deque[Packetized] = deque()
        self._waits_for_keyframe = True

    def __len__(self) -> int:
        """Count the access units that wait."""
        return len(self._units)

    def push(self, unit: Packetized) -> bool:
        """Queue `unit` or drop it. True when this very unit overflowed the queue and a keyframe is wanted."""
        overflow = len(self._units) >= self._bound
        if overflow:
            self.skip()
        if self._waits_for_keyframe and not unit.unit.keyframe:
            self.dropped += 1
            return overflow
        self._waits_for_keyframe = False
        self._units.append(unit)
        return False

    def pop(self) -> Packetized | None:
        """Take the oldest access unit, or None when there is none."""
        return self._units.popleft() if self._units else None

    def skip(self) -> None:
        """Drop what waits, and all that comes up to the next keyframe."""
        self.dropped += len(self._units)
        self._units.clear()
        self._waits_for_keyframe = True

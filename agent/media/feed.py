"""One viewer's queue of access units, and its drop rule."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from agent.media.access_unit import AccessUnit

BOUND = 30
"""Access units a viewer may be behind: a second at 30 fps. Beyond that a fresh keyframe costs less than the delay."""


class Feed:
    """A bounded queue that one viewer is served from.

    Drop rule: a viewer starts on a keyframe. One that is `bound` access units behind loses all of them and
    starts again on the next keyframe; what it could not show until then is left out. All of it is counted.

    `wake` is called when an empty queue gets its first unit, and at the close: pop until None, then wait.
    """

    def __init__(self, wake: Callable[[], None], *, bound: int = BOUND) -> None:
        self.dropped = 0
        self.closed = False
        self._wake = wake
        self._bound = bound
        self._units: deque[AccessUnit] = deque()
        self._waits_for_keyframe = True

    def push(self, unit: AccessUnit) -> bool:
        """Queue `unit` or drop it. True when this very unit overflowed the queue and a keyframe is wanted."""
        if self.closed:
            return False
        overflow = len(self._units) >= self._bound
        if overflow:
            self.dropped += len(self._units)
            self._units.clear()
            self._waits_for_keyframe = True
        if self._waits_for_keyframe and not unit.keyframe:
            self.dropped += 1
            return overflow
        self._waits_for_keyframe = False
        self._units.append(unit)
        if len(self._units) == 1:
            self._wake()
        return False

    def pop(self) -> AccessUnit | None:
        """Take the oldest access unit, or None when there is none."""
        return self._units.popleft() if self._units else None

    def close(self) -> None:
        """End the feed: what is queued goes, and nothing comes any more. Closing twice is harmless."""
        if not self.closed:
            self.closed = True
            self._units.clear()
            self._wake()

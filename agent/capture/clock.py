"""When a camera's pictures were taken, in microseconds since the first."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

import av

_LEAP_US: Final = 2_000_000


class Clock:
    """Microseconds since the first picture, by the timestamps that pictures come with.

    One without a timestamp was taken as much later as it came later. A timestamp that is two seconds off what has
    really passed is of a clock that was set anew, which cameras do: what follows is counted from there.
    """

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._last_us: int | None = None
        self._came_at = 0.0
        self._offset_us: int | None = None

    def pts_us(self, picture: av.Packet[av.VideoStream] | av.VideoFrame) -> int:
        """Say when this one was taken."""
        if picture.pts is None or picture.time_base is None:
            return self.at_us(None)
        return self.at_us(int(picture.pts * picture.time_base * 1_000_000))

    def at_us(self, stamp_us: int | None) -> int:
        """Say when a picture of this timestamp, or of none, was taken."""
        now = self._now()
        due_us = 0 if self._last_us is None else self._last_us + round((now - self._came_at) * 1_000_000)
        pts_us = due_us
        if stamp_us is not None:
            if self._offset_us is None or abs(stamp_us + self._offset_us - due_us) > _LEAP_US:
                self._offset_us = due_us - stamp_us
            pts_us = stamp_us + self._offset_us
        self._last_us, self._came_at = pts_us, now
        return pts_us

"""When a picture was taken, from when it arrived."""

from __future__ import annotations

from typing import Final

_DRIFT: Final = 0.0002
"""How much of the time that passes the least delay may grow: more than any two clocks drift apart."""


class CaptureClock:
    """Maps a source's timestamps to monotonic seconds: the least delay seen is taken for none at all.

    What is left out is the constant part of the delay between sensor and encoder's end, which no timestamp tells.
    """

    def __init__(self) -> None:
        self._offset_s: float | None = None
        self._at_s = 0.0

    def captured_at(self, pts_us: int, now: float) -> float:
        """Say when the picture that arrived `now` was taken: never in the future, in monotonic seconds."""
        offset_s = now - pts_us / 1_000_000
        if self._offset_s is not None:
            offset_s = min(offset_s, self._offset_s + _DRIFT * max(0.0, now - self._at_s))
        self._offset_s, self._at_s = offset_s, now
        return pts_us / 1_000_000 + offset_s

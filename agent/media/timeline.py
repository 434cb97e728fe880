"""One timeline for a camera's streams, over all restarts of its source."""

from __future__ import annotations

from agent.media.access_unit import AccessUnit


class Timeline:
    """Makes timestamps go on where a source that starts again at 0 does not. Times (`now`) are monotonic seconds.

    Main and sub stream share it: the same picture keeps the same pts in both.
    """

    def __init__(self) -> None:
        self._seen_at = 0.0
        self._last_us: int | None = None  # as it was given out
        self._offset_us = 0
        self._restarted = False

    def restarted(self) -> None:
        """Take note that what comes next is of a new run of the source."""
        self._restarted = self._last_us is not None

    def rebased(self, unit: AccessUnit, now: float) -> AccessUnit:
        """Give `unit` its place: a new run's first is as much later than the last one as really passed."""
        if self._restarted and self._last_us is not None:
            passed_us = max(1, round((now - self._seen_at) * 1_000_000))
            self._offset_us = self._last_us + passed_us - unit.pts_us
            self._restarted = False
        self._seen_at = now
        if self._offset_us:
            unit = unit.at(unit.pts_us + self._offset_us)
        self._last_us = unit.pts_us if self._last_us is None else max(self._last_us, unit.pts_us)
        return unit

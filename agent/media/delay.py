"""Is a queue growing on the way? A trend line through the delays of groups of packets (draft-ietf-rmcat-gcc-02, 5)."""

from __future__ import annotations

from collections import deque
from typing import Final, Literal

Usage = Literal["normal", "over", "under"]

_WINDOW: Final = 20  # groups the line is laid through
_SMOOTHING: Final = 0.9
_GAIN: Final = 4.0
_MOST_DELTAS: Final = 60
_OVER_FOR_S: Final = 0.010  # section 5.4: overuse_time_th
_THRESHOLD_MS: Final = 12.5  # section 5.4: del_var_th(0)
_LOW_MS, _HIGH_MS = 6.0, 600.0  # section 5.4
_K_UP, _K_DOWN = 0.0087, 0.039  # section 5.4: K_u and K_d, for milliseconds
_FAR_MS: Final = 15.0  # a spike so far above the threshold does not move it


class DelayTrend:
    """Fed with how much more time passed between arrivals than between departures, group by group."""

    def __init__(self) -> None:
        self.usage: Usage = "normal"
        self._points: deque[tuple[float, float]] = deque(maxlen=_WINDOW)
        self._accumulated_ms = self._smoothed_ms = 0.0
        self._deltas = 0
        self._first_ms: float | None = None
        self._threshold_ms = _THRESHOLD_MS
        self._updated_ms: float | None = None
        self._over_s = 0.0
        self._before = 0.0

    def add(self, sent_delta_ms: float, arrival_delta_ms: float, arrival_ms: float) -> None:
        """Take a group: `arrival_ms` is the receiver's clock, unwrapped."""
        self._deltas = min(self._deltas + 1, _MOST_DELTAS)
        if self._first_ms is None:
            self._first_ms = arrival_ms
        self._accumulated_ms += arrival_delta_ms - sent_delta_ms
        self._smoothed_ms = _SMOOTHING * self._smoothed_ms + (1 - _SMOOTHING) * self._accumulated_ms
        self._points.append((arrival_ms - self._first_ms, self._smoothed_ms))
        slope = _slope(self._points) if len(self._points) == _WINDOW else self._before
        self._detect(slope, sent_delta_ms / 1000, arrival_ms)

    def _detect(self, slope: float, passed_s: float, arrival_ms: float) -> None:
        trend_ms = self._deltas * slope * _GAIN
        if trend_ms > self._threshold_ms:
            self._over_s += passed_s
            if self._over_s > _OVER_FOR_S and slope >= self._before:
                self._over_s = 0.0
                self.usage = "over"
        else:
            self._over_s = 0.0
            self.usage = "under" if trend_ms < -self._threshold_ms else "normal"
        self._before = slope
        self._adapt(abs(trend_ms), arrival_ms)

    def _adapt(self, trend_ms: float, arrival_ms: float) -> None:
        """Let the threshold follow the trend (section 5.4), so that other traffic does not starve this."""
        passed_ms = min(100.0, arrival_ms - self._updated_ms) if self._updated_ms is not None else 0.0
        self._updated_ms = arrival_ms
        if trend_ms > self._threshold_ms + _FAR_MS:
            return
        k = _K_DOWN if trend_ms < self._threshold_ms else _K_UP
        self._threshold_ms += k * (trend_ms - self._threshold_ms) * passed_ms
        self._threshold_ms = min(_HIGH_MS, max(_LOW_MS, self._threshold_ms))


def _slope(points: deque[tuple[float, float]]) -> float:
    """Lay a line through the points by least squares."""
    count = len(points)
    mean_x = sum(x for x, _ in points) / count
    mean_y = sum(y for _, y in points) / count
    denominator = sum((x - mean_x) ** 2 for x, _ in points)
    return sum((x - mean_x) * (y - mean_y) for x, y in points) / denominator if denominator else 0.0

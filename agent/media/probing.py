"""Does the link take more than is sent? A short burst of resent packets, and how far apart they arrive."""

from __future__ import annotations

from typing import Final

from agent.media.transport_cc import after_us

EVERY_S: Final = 5.0
AGAIN_S: Final = 1.0
"""After a burst that found more there may be still more."""

_CALM_S: Final = 2.0  # no burst so soon after a queue grew or packets were lost
_LEAST_BYTES: Final = 12_000
_SECONDS: Final = 0.025  # of twice the rate
_HEARD_S: Final = 0.3  # by then the reports on a burst have come
_LEAST_PACKETS: Final = 5
_TRUSTED: Final = 0.85
_MOST_GROWTH: Final = 2.0  # of one burst: a shaper lets a short one pass


class Probing:
    """When a burst is due, and what came of it. Times (`now`) are monotonic seconds."""

    def __init__(self) -> None:
        self._at = 0.0  # of the last burst
        self._next_at = 0.0
        self._calm_at = 0.0
        self._rate_bps = 0.0
        self._arrivals: list[tuple[int, int]] = []
        self._judged = True

    def wanted(self, rate_bps: float, now: float) -> int | None:
        """Say how many bytes are to be sent at once, if a burst is due; it is under way then."""
        if now < self._next_at or now < self._calm_at:
            return None
        self._at, self._next_at = now, now + EVERY_S
        self._rate_bps, self._judged = rate_bps, False
        self._arrivals.clear()
        return max(_LEAST_BYTES, int(2 * rate_bps * _SECONDS / 8))

    def is_part(self, now: float) -> bool:
        """Say whether what leaves now is of the burst."""
        return now == self._at

    def disturbed(self, now: float) -> None:
        """Take note that a queue grew or much was lost: no burst for a while."""
        self._calm_at = now + _CALM_S
        self._judged = True

    def arrived(self, time_us: int, size_bytes: int) -> None:
        """Take a packet of the burst, by the receiver's clock."""
        self._arrivals.append((time_us, size_bytes))

    def result(self, now: float) -> float | None:
        """Say once, when the reports have come, what rate the burst arrived at."""
        if self._judged or now - self._at < _HEARD_S:
            return None
        self._judged = True
        arrivals = self._arrivals
        if len(arrivals) < _LEAST_PACKETS:
            return None
        span_us = max(1000, after_us(arrivals[-1][0], arrivals[0][0]))
        rate_bps = _TRUSTED * sum(size for _, size in arrivals[1:]) * 8e6 / span_us
        found_bps = min(rate_bps, _MOST_GROWTH * self._rate_bps)
        if found_bps > self._rate_bps:
            self._next_at = now + AGAIN_S
        return found_bps

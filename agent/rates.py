"""How often something may happen (pure): time comes in as `now`, in seconds."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Rate:
    """So many at once, and so many a second after that."""

    burst: float
    per_s: float


class Bucket:
    """A token bucket; what was spent beyond its content is made good before anything else is given."""

    def __init__(self, rate: Rate, now: float) -> None:
        self._rate = rate
        self._tokens = rate.burst
        self._at = now

    def has(self, now: float, least: float = 1.0) -> bool:
        """Whether so much is there; takes nothing."""
        passed = max(0.0, now - self._at)
        self._tokens, self._at = min(self._rate.burst, self._tokens + passed * self._rate.per_s), now
        return self._tokens >= least

    def spend(self, amount: float = 1.0) -> None:
        """Take so much, even if less is there."""
        self._tokens -= amount

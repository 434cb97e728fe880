"""The delay-based rate of one viewer (draft-ietf-rmcat-gcc-02, section 5.5)."""

from __future__ import annotations

from math import sqrt
from typing import Final

from agent.media.delay import Usage

BETA: Final = 0.85
"""What is left of the rate that arrives, at a decrease."""

ETA: Final = 1.08
"""The multiplicative increase a second, far from the rate at which the link was full."""

AHEAD: Final = 1.5
AHEAD_BPS: Final = 10_000
"""An increase ends at AHEAD times the rate that arrives, plus AHEAD_BPS: beyond that nothing shows that it is there."""

_RESPONSE_S: Final = 0.1  # what an encoder takes to follow, on top of a round trip
_PICTURES_A_SECOND: Final = 30
_PACKET_BITS: Final = 9_600
_LEAST_STEP_BPS: Final = 1_000.0
_FORGET: Final = 0.05  # weight of the newest full-link rate in their mean: 0.95 stays (section 5.5)
_LEAST_SPREAD, _MOST_SPREAD = 1.5, 2.5  # variance of that mean over the mean, in kbit/s; less forgets it for noise
_LONGEST_S: Final = 1.0
_SOONEST_S: Final = 0.2  # between two decreases, at most: a decrease shows after a round trip


class RateControl:
    """Increase, hold or decrease, after what the delay shows. `rate_bps` is the result."""

    def __init__(self, start_bps: float, min_bps: float, max_bps: float) -> None:
        self.rate_bps = start_bps
        self.decreased_at: float | None = None
        self._min_bps = min_bps
        self._max_bps = max_bps
        self._updated_at: float | None = None
        self._full_kbps: float | None = None
        self._spread = _LEAST_SPREAD

    def update(self, usage: Usage, acked_bps: float | None, round_trip_s: float, now: float) -> bool:
        """Go on to `now`; True for a decrease."""
        passed_s = 0.0 if self._updated_at is None else min(now - self._updated_at, _LONGEST_S)
        self._updated_at = now
        if usage == "over":
            return self._decrease(acked_bps, round_trip_s, now)
        if usage == "normal" and acked_bps is not None:
            self._increase(acked_bps, round_trip_s, passed_s)
        return False

    def set(self, rate_bps: float) -> None:
        """Go to a rate that something else has shown."""
        self.rate_bps = min(max(rate_bps, self._min_bps), self._max_bps)

    def probed(self, rate_bps: float, *, passed: bool) -> None:
        """Go up to a rate that a probe has shown. One that passed shows that this is not the link that was full."""
        if rate_bps > self.rate_bps:
            self.set(rate_bps)
            if passed:
                self._full_kbps = None

    def _increase(self, acked_bps: float, round_trip_s: float, passed_s: float) -> None:
        if self._full_kbps is not None and acked_bps / 1_000 > self._full_kbps + self._deviations():
            self._full_kbps = None  # more arrives than this link ever took: it is another one
        if self._full_kbps is None:
            step_bps = self.rate_bps * (ETA**passed_s - 1)
        else:
            step_bps = self._packet_bits() / (_RESPONSE_S + round_trip_s) * passed_s
        step_bps = max(step_bps, _LEAST_STEP_BPS * passed_s)
        most_bps = max(self.rate_bps, AHEAD * acked_bps + AHEAD_BPS)
        self.set(min(self.rate_bps + step_bps, most_bps))

    def _decrease(self, acked_bps: float | None, round_trip_s: float, now: float) -> bool:
        soonest_s = min(max(round_trip_s, 0.01), _SOONEST_S)
        if self.decreased_at is not None and now - self.decreased_at < soonest_s:
            return False
        lower_bps = BETA * (self.rate_bps if acked_bps is None else acked_bps)
        if lower_bps >= self.rate_bps:
            return False
        self.decreased_at = now
        self.set(lower_bps)
        if acked_bps is not None:
            self._learn(acked_bps / 1_000)
        return True

    def _learn(self, full_kbps: float) -> None:
        """Keep mean and spread of the rates at which the link was full."""
        if self._full_kbps is None or abs(full_kbps - self._full_kbps) > self._deviations():
            self._full_kbps, self._spread = full_kbps, _LEAST_SPREAD
            return
        error = self._full_kbps - full_kbps
        self._full_kbps -= _FORGET * error
        spread = (1 - _FORGET) * self._spread + _FORGET * error * error / max(self._full_kbps, 1.0)
        self._spread = min(max(spread, _LEAST_SPREAD), _MOST_SPREAD)

    def _deviations(self) -> float:
        """Give three standard deviations of the mean, in kbit/s."""
        return 3.0 * sqrt(self._spread * (self._full_kbps or 0.0))

    def _packet_bits(self) -> float:
        """Estimate a packet's size: a picture's bits, over the packets that it takes."""
        picture_bits = self.rate_bps / _PICTURES_A_SECOND
        return picture_bits / max(1.0, -(-picture_bits // _PACKET_BITS))

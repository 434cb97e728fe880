"""The loss-based rate of one viewer (draft-ietf-rmcat-gcc-02, section 6)."""

from __future__ import annotations

from typing import Final

LITTLE: Final = 0.02
MUCH: Final = 0.10
"""Up to LITTLE of loss the rate rises, from MUCH on it falls, and between them it stays."""

RISE: Final = 1.05
FALL: Final = 0.5

LEAST_PACKETS: Final = 50
LEAST_S: Final = 1.0
"""What a fraction is taken over, about as receiver reports come: in less, loss of 5 % looks like 10 % too often."""

_FLOOR: Final = 0.85  # of the rate that arrives: below it, loss is not what too high a rate does


class LossControl:
    """A ceiling that loss lowers: `rate_bps`, at first `max_bps`."""

    def __init__(self, min_bps: float, max_bps: float) -> None:
        self.rate_bps = max_bps
        self._min_bps = min_bps
        self._max_bps = max_bps
        self._since: float | None = None
        self._reported = 0
        self._lost = 0

    def counted(self, reported: int, lost: int, estimate_bps: float, acked_bps: float | None, now: float) -> bool:
        """Take running totals of packets; True when the rate fell."""
        if self._since is None:
            self._since = now
        packets = reported - self._reported
        if packets < LEAST_PACKETS or now - self._since < LEAST_S:
            return False
        fraction = max(0, lost - self._lost) / packets
        self._since, self._reported, self._lost = now, reported, lost
        return self.report(fraction, estimate_bps, acked_bps)

    def report(self, fraction: float, estimate_bps: float, acked_bps: float | None) -> bool:
        """Take the fraction of the last packets that was lost; True when the rate fell."""
        if fraction > MUCH:
            lower_bps = min(self.rate_bps, estimate_bps) * (1 - FALL * fraction)
            if acked_bps is not None:
                lower_bps = max(lower_bps, min(estimate_bps, _FLOOR * acked_bps))
            self.rate_bps = max(lower_bps, self._min_bps)
            return True
        if fraction < LITTLE:
            self.rate_bps = min(self.rate_bps * RISE, self._max_bps)
        return False

    def raise_to(self, rate_bps: float) -> None:
        """Go up to a rate that a probe has shown."""
        self.rate_bps = min(max(self.rate_bps, rate_bps), self._max_bps)

"""The rate at which packets arrive at a viewer."""

from __future__ import annotations

from collections import deque
from typing import Final

WINDOW_MS: Final = 500.0
"""T in draft-ietf-rmcat-gcc-02, section 5.5 (table 1)."""

_LEAST_MS: Final = 150.0  # less than some five pictures say little
_PAUSE_MS: Final = 1_000.0
_MOST: Final = 512


class Acked:
    """R_hat of draft-ietf-rmcat-gcc-02, section 5.5, over the last WINDOW_MS of the receiver's clock."""

    def __init__(self) -> None:
        self._arrived: deque[tuple[float, int]] = deque()
        self._bytes = 0
        self._rate_bps: float | None = None

    def restart(self) -> None:
        """Begin anew, since feedback was lost: what it would have told is missing in the sum."""
        self._arrived.clear()
        self._bytes = 0

    def add(self, arrived_ms: float, size_bytes: int) -> None:
        """Take note of `size_bytes` of which the last arrived at `arrived_ms`."""
        arrived = self._arrived
        if arrived:
            last_ms = arrived[-1][0]
            if not -_PAUSE_MS < arrived_ms - last_ms < _PAUSE_MS:  # nothing was sent for a while
                self.restart()
                self._rate_bps = None
            elif arrived_ms < last_ms:
                arrived_ms = last_ms
        arrived.append((arrived_ms, size_bytes))
        self._bytes += size_bytes
        while len(arrived) > _MOST or (len(arrived) > 2 and arrived_ms - arrived[1][0] >= WINDOW_MS):
            self._bytes -= arrived.popleft()[1]

    def rate_bps(self) -> float | None:
        """Give the rate as far as it is known, or None where too little has arrived to tell."""
        if len(self._arrived) > 1:
            first_ms, first_bytes = self._arrived[0]
            span_ms = self._arrived[-1][0] - first_ms
            if span_ms >= _LEAST_MS:
                # What arrived first took its time before the span begins.
                self._rate_bps = (self._bytes - first_bytes) * 8_000 / span_ms
        return self._rate_bps

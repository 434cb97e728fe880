"""When a viewer's next packets may leave: keyframes are spread, nothing bursts a Wi-Fi queue."""

from __future__ import annotations

from math import ceil
from typing import Final

HEALTHY_BPS: Final = 40_000_000
"""The pace for a viewer whose link takes the whole stream: a keyframe of 100 kB is out after 20 ms."""

HEADROOM: Final = 2.5
"""The pace for all others, as a multiple of their estimated rate; libwebrtc's pacer has the same."""

AHEAD_S: Final = 0.005
"""What may leave at once: at 40 Mbit/s 25 kB, so that all but keyframes go in one piece."""

STEP_S: Final = 0.0025
"""Half of AHEAD_S, so that no bucket runs empty while its viewer waits."""

MOST_LATE_S: Final = 0.05
"""A waking that comes late makes good so much: else a loop that is busy would give everybody less than their pace."""


class Pacer:
    """A leaky bucket: what was sent drains at the pace, and more may leave while it holds less than AHEAD_S.

    While packets wait, time that passed after they were due counts too, up to MOST_LATE_S: what would have left
    by then leaves at once. A pause in which nothing waited saves nothing up.
    """

    def __init__(self) -> None:
        self._drained_at = 0.0

    def begin(self, now: float, waited: bool) -> None:
        """Begin to send; `waited` says that there were packets that waited for `next_at`."""
        self._drained_at = max(self._drained_at, now - MOST_LATE_S if waited else now)

    def room(self, pace_bps: float, now: float) -> int:
        """Count the bytes that may leave now; at least one packet may whenever this is above 0."""
        return max(0, int((AHEAD_S - (self._drained_at - now)) * pace_bps / 8))

    def sent(self, size_bytes: int, pace_bps: float) -> None:
        """Take note of what left."""
        self._drained_at += size_bytes * 8 / pace_bps

    def next_at(self) -> float:
        """Say when at least half of the bucket is empty again, in monotonic seconds.

        It is one of the moments that all viewers share, STEP_S apart: a waking for all costs less than one for each.
        """
        return ceil((self._drained_at - AHEAD_S / 2) / STEP_S) * STEP_S


def pace_bps(estimate_bps: int | None, full_bps: int) -> float:
    """Choose the pace for a viewer by its estimated rate; `full_bps` is what the stream needs."""
    if estimate_bps is None or estimate_bps >= full_bps:
        return HEALTHY_BPS
    return HEADROOM * estimate_bps

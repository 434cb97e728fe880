"""Transport-wide feedback, and the estimate that it leads to, after packets that really left.

A case is two reports: the high byte of the first packet's number, the length of the first report, and both.
"""

from __future__ import annotations

import contextlib

from agent.media.bandwidth import Bandwidth
from agent.media.transport_cc import MalformedFeedback
from tests.fuzz.target import Target

_PACKETS = 100  # that left before, five every 10 ms


def _take(case: bytes) -> None:
    high, length = case[:2].ljust(2, b"\0")
    bandwidth = Bandwidth(start_bps=2_000_000, min_bps=50_000, max_bps=2_000_000)
    for number in range(0, _PACKETS, 5):
        bandwidth.sent((high << 8) + number & 0xFFFF, 5, 1200, number / 500)
    for at, fci in enumerate((case[2 : 2 + length], case[2 + length :])):
        with contextlib.suppress(MalformedFeedback):
            bandwidth.feedback(fci, 0.3 + at / 10)
    assert bandwidth.estimate_bps is None or 50_000 <= bandwidth.estimate_bps <= 2_000_000


TARGET = Target(take=_take, most_bytes=1500)

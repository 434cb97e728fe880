"""Clusters of packets that show what a link takes beyond what is sent anyway."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from agent.media.history import Batch, History
from agent.media.transport_cc import TICK_S

FACTOR: Final = 2.0
CLUSTER_S: Final = 0.025
"""A cluster asks for FACTOR times the estimate, and is as many bytes as that carries in CLUSTER_S."""

LEAST_BYTES: Final = 7_500
LEAST_PACKETS: Final = 4
"""Fewer packets have too few gaps between them to tell a rate by."""

EVERY_S: Final = 5.0
RARELY_S: Final = 30.0
"""Between probes. It doubles, up to the longer one, after each that was too bright, as a shaper's bucket makes it."""

AGAIN_S: Final = 0.5
"""After a probe that found no limit."""

LOST_S: Final = 1.0
"""After one that got lost, or whose feedback did."""

STABLE_S: Final = 3.0
"""After a decrease."""

PASSED: Final = 0.9
"""A probe that arrives at this much of its rate found no limit; libwebrtc has the same."""

CLAIMED: Final = 0.9
"""What of the rate that a limited probe arrived at is taken: the pictures are to leave the queue empty."""

_TOO_BRIGHT_S: Final = 5.0
_LEAVES_WITHIN_S: Final = 0.01  # later than that comes the next picture, which is no part of the cluster
_SHARE: Final = 0.5  # of the bytes that were wanted is enough to judge: packets are not all full
_PATIENCE_S: Final = 1.5


@dataclass(frozen=True, slots=True)
class Result:
    """What a cluster showed; `passed` where it found no limit."""

    rate_bps: float
    passed: bool


@dataclass(frozen=True, slots=True)
class _Cluster:
    first: int
    wanted_bytes: int
    target_bps: float
    asked_at: float


class Prober:
    """Says when a cluster is due and judges those that arrived."""

    def __init__(self) -> None:
        self._cluster: _Cluster | None = None
        self._due_at = 0.0
        self._every_s = EVERY_S
        self._raised_at: float | None = None

    def wanted(self, history: History, target_bps: float, now: float) -> int | None:
        """Ask for a cluster of so many bytes, to show whether the link takes `target_bps`, if one is due."""
        if self._cluster is not None or now < self._due_at:
            return None
        wanted = max(round(target_bps * CLUSTER_S / 8), LEAST_BYTES)
        self._cluster = _Cluster(history.next, wanted, target_bps, now)
        return wanted

    def hurry(self, now: float) -> None:
        """Let the next cluster be due at once, and forget the one that is under way: the link was gone."""
        self._cluster = None
        self._due_at = now

    def decreased(self, now: float) -> None:
        """Take note that the rate had to fall."""
        if self._raised_at is not None:
            bright = now - self._raised_at < _TOO_BRIGHT_S
            self._every_s = min(2 * self._every_s, RARELY_S) if bright else EVERY_S
            self._raised_at = None
        self._due_at = max(self._due_at, now + STABLE_S)

    def judged(self, history: History, now: float) -> Result | None:
        """Judge the cluster that is under way, once enough of it has been reported."""
        cluster = self._cluster
        if cluster is None:
            return None
        batches, complete = _reported(history, cluster)
        if not complete and now - cluster.asked_at < _PATIENCE_S:
            return None
        self._cluster = None
        rate_bps = _rate_bps(batches) if complete else None
        self._due_at = now + (self._every_s if rate_bps is not None else LOST_S)
        if rate_bps is None:
            return None
        passed = rate_bps >= PASSED * cluster.target_bps
        if passed:
            self._raised_at, self._due_at = now, now + AGAIN_S
        return Result(cluster.target_bps if passed else CLAIMED * rate_bps, passed)


def _reported(history: History, cluster: _Cluster) -> tuple[list[Batch], bool]:
    """Find the batches of a cluster, and whether they are all there and reported."""
    batches, size = list[Batch](), 0
    for batch in history.since(cluster.first):
        if batch.first < cluster.first:
            continue
        if size >= cluster.wanted_bytes or batch.sent_at - cluster.asked_at > _LEAVES_WITHIN_S:
            break
        batches.append(batch)
        size += batch.count * batch.size_bytes
    complete = size >= _SHARE * cluster.wanted_bytes and all(batch.known == (1 << batch.count) - 1 for batch in batches)
    return batches, complete


def _rate_bps(batches: list[Batch]) -> float | None:
    """Measure what arrived after the cluster's first packet; None where too little did."""
    seen = [batch for batch in batches if batch.seen]
    packets = sum(batch.seen.bit_count() for batch in seen)
    if packets < LEAST_PACKETS:
        return None
    size = sum(batch.seen.bit_count() * batch.size_bytes for batch in seen) - seen[0].size_bytes
    ticks = max(batch.last_at for batch in seen) - min(batch.first_at for batch in seen)
    left_s = batches[-1].sent_at - batches[0].sent_at
    return size * 8 / max(ticks * TICK_S, left_s, TICK_S)

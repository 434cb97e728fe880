"""What one direction of a link does to its packets (pure): a rate, a queue that drops at its end, a delay, and loss."""

from __future__ import annotations

import random
from collections import deque
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Conditions:
    """How one direction of a link is; `loss` is the share of packets that get lost after the queue."""

    rate_bps: float = 100e6
    delay_s: float = 0.0
    loss: float = 0.0
    queue_bytes: int = 64_000  # a quarter of a second at 2 Mbit/s


@dataclass(slots=True, kw_only=True)
class Counts:
    """What came by since the beginning. Packets are IP packets; `offered` is all that was sent into the link."""

    offered: int = 0
    offered_bytes: int = 0
    dropped: int = 0  # the queue was full
    lost: int = 0
    delivered: int = 0
    delivered_bytes: int = 0
    largest_bytes: int = 0  # the largest packet that was offered
    longest_wait_s: float = 0.0  # in the queue, since the counts were last read


class Path:
    """One direction. Packets leave in the order in which they came."""

    def __init__(self, conditions: Conditions, chance: random.Random) -> None:
        self.counts = Counts()
        self._conditions = conditions
        self._chance = chance
        self._waiting: deque[tuple[float, bytes]] = deque()  # with the time at which each came
        self._waiting_bytes = 0
        self._head_leaves_at = 0.0
        self._under_way: deque[tuple[float, bytes]] = deque()  # with the time at which each arrives

    def change(self, conditions: Conditions, now: float) -> None:
        """Take other conditions from `now` on; what is under way arrives as it would have."""
        self._advance(now)
        self._conditions = conditions
        if self._waiting:
            self._head_leaves_at = min(self._head_leaves_at, now + self._sending_s(self._waiting[0][1]))

    def take(self, packet: bytes, now: float) -> None:
        """Let a packet in."""
        self._advance(now)
        counts, size = self.counts, len(packet)
        counts.offered += 1
        counts.offered_bytes += size
        counts.largest_bytes = max(counts.largest_bytes, size)
        if self._waiting_bytes + size > self._conditions.queue_bytes:
            counts.dropped += 1
            return
        if not self._waiting:
            self._head_leaves_at = now + self._sending_s(packet)
        self._waiting.append((now, packet))
        self._waiting_bytes += size

    def arrived(self, now: float) -> list[bytes]:
        """Give the packets that are through by `now`."""
        self._advance(now)
        packets = []
        while self._under_way and self._under_way[0][0] <= now:
            packets.append(self._under_way.popleft()[1])
        self.counts.delivered += len(packets)
        self.counts.delivered_bytes += sum(map(len, packets))
        return packets

    @property
    def next_at(self) -> float | None:
        """When to ask for arrivals again; None while the path is empty."""
        if self._under_way:
            return self._under_way[0][0]
        return self._head_leaves_at + self._conditions.delay_s if self._waiting else None

    def _advance(self, now: float) -> None:
        counts, conditions = self.counts, self._conditions
        while self._waiting and self._head_leaves_at <= now:
            left_at = self._head_leaves_at
            came_at, packet = self._waiting.popleft()
            self._waiting_bytes -= len(packet)
            counts.longest_wait_s = max(counts.longest_wait_s, left_at - came_at)
            if self._chance.random() < conditions.loss:
                counts.lost += 1
            else:
                earliest = self._under_way[-1][0] if self._under_way else 0.0
                self._under_way.append((max(earliest, left_at + conditions.delay_s), packet))
            if self._waiting:
                self._head_leaves_at += self._sending_s(self._waiting[0][1])

    def _sending_s(self, packet: bytes) -> float:
        return len(packet) * 8 / self._conditions.rate_bps

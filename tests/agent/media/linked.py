"""A camera, a link and a receiver as plain arithmetic: what an estimate does over minutes, in milliseconds."""

from __future__ import annotations

import heapq
import random
from collections.abc import Callable
from dataclasses import dataclass, field

from agent.media.bandwidth import Bandwidth
from agent.media.rate import SHARE

PACKET = 1_200
FPS = 30


def transport_feedback(first: int, times_us: list[int | None], reference_us: int) -> bytes:
    """Write the report of a receiver (draft-holmer-rmcat-transport-wide-cc-extensions-01, section 3.1)."""
    symbols, deltas = [], b""
    last = reference = reference_us // 64_000 * 64_000
    for time_us in times_us:
        if time_us is None:
            symbols.append(0)
            continue
        delta = round((time_us - last) / 250)
        last += delta * 250
        small = 0 <= delta < 256
        symbols.append(1 if small else 2)
        deltas += bytes([delta]) if small else delta.to_bytes(2, "big", signed=True)
    chunks = b""
    for at in range(0, len(symbols), 7):
        bits = 0
        for symbol in (symbols[at : at + 7] + [0] * 7)[:7]:
            bits = bits << 2 | symbol
        chunks += (0xC000 | bits).to_bytes(2, "big")
    head = first.to_bytes(2, "big") + len(times_us).to_bytes(2, "big")
    return head + (reference // 64_000 & 0xFFFFFF).to_bytes(3, "big") + b"\0" + chunks + deltas


@dataclass
class Link:
    """One way with a bottleneck; `jitter` is added to each arrival, in seconds."""

    rate_bps: float
    delay_s: float = 0.05
    loss: float = 0.0
    queue_s: float = 0.3
    jitter: Callable[[float], float] = lambda now: 0.0
    down: bool = False
    free_at: float = 0.0

    def carry(self, size: int, now: float, dice: random.Random) -> float | None:
        """Say when a packet arrives, or that it never does."""
        if self.down or dice.random() < self.loss or self.free_at - now > self.queue_s:
            return None
        self.free_at = max(self.free_at, now) + size * 8 / self.rate_bps
        return self.free_at + self.delay_s + self.jitter(now)


@dataclass
class Bench:
    """A camera of `full_bps` that follows the estimate, over a link, with reports each 50 ms."""

    link: Link
    full_bps: int = 4_000_000
    content_bps: float = 1e9  # what the picture needs at most
    lose_reports: float = 0.0
    number: int = 0
    now: float = 1_000.0
    seed: int = 7
    bandwidth: Bandwidth = field(init=False)
    history: list[tuple[float, int | None]] = field(default_factory=list)
    probes: int = 0

    def __post_init__(self) -> None:
        self.bandwidth = Bandwidth(start_bps=self.full_bps, min_bps=50_000, max_bps=self.full_bps)
        self._dice = random.Random(self.seed)  # noqa: S311 - a simulation is to be repeatable
        self._arrived: dict[int, float] = {}
        self._reported = self.number
        self._began = self.now
        self._reports: list[tuple[float, int, bytes]] = []

    def run(self, seconds: float) -> None:
        """Let time pass."""
        for _ in range(round(seconds * FPS)):
            until = self.now + 1 / FPS
            self._picture()
            for step in (self.now, self.now + 0.5 / FPS):
                self._report(step)
            while self._reports and self._reports[0][0] <= until:
                at, _, fci = heapq.heappop(self._reports)
                self.bandwidth.feedback(fci, at)
            self.now = until
            self.history.append((self.now - self._began, self.bandwidth.estimate_bps))

    def estimates(self, since: float, until: float = 1e9) -> list[int]:
        """Give the estimates of a span, in seconds since the beginning."""
        return [bps for at, bps in self.history if since <= at <= until and bps is not None]

    def _picture(self) -> None:
        estimate = self.bandwidth.estimate_bps
        rate = self.full_bps if estimate is None or estimate >= self.full_bps else SHARE * estimate
        size = min(rate, self.content_bps) / FPS / 8 * self._dice.uniform(0.8, 1.2)
        self._send(max(1, round(size / PACKET)), self.now)
        if (wanted := self.bandwidth.probe(self.now + 0.001)) is not None:
            self.probes += 1
            for _ in range(-(-wanted // PACKET)):
                self._send(1, self.now + 0.001)

    def _send(self, count: int, now: float) -> None:
        self.bandwidth.sent(self.number & 0xFFFF, count, PACKET, now)
        for _ in range(count):
            arrival = self.link.carry(PACKET, now, self._dice)
            if arrival is not None:
                self._arrived[self.number] = arrival
            self.number += 1

    def _report(self, now: float) -> None:
        """Report all that arrived by now; what is missing before the newest of it is reported as lost."""
        if round(now * 1000) % 50 > 17:
            return
        came = [number for number, at in self._arrived.items() if at <= now and number >= self._reported]
        if not came:
            return
        first, last = self._reported, max(came)
        times = [self._arrived.get(number) for number in range(first, last + 1)]
        times_us = [None if at is None or at > now else round(at * 1e6) for at in times]
        self._reported = last + 1
        self._arrived = {number: at for number, at in self._arrived.items() if number > last}
        if self._dice.random() >= self.lose_reports:
            known = [at for at in times_us if at is not None]
            fci = transport_feedback(first & 0xFFFF, times_us, min(known))
            heapq.heappush(self._reports, (now + self.link.delay_s, first, fci))

"""A camera, a link and a viewer as a model without a clock: what takes minutes otherwise, in a tenth of a second."""

from __future__ import annotations

import heapq
import random
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from agent.media.bandwidth import Bandwidth
from tests.kit import feedback

PACKET = 1200
PICTURE_MS = 33
REPORT_MS = 100
FULL_PACE_BPS = 40e6


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """`radio_s` draws how long a radio holds back what arrives, after which all of it comes at once."""

    rate_bps: float = 20e6
    delay_s: float = 0.02
    loss: float = 0.0
    queue_s: float = 0.3
    reordered: float = 0.0
    feedback_loss: float = 0.0
    radio_s: Callable[[random.Random], float] | None = None
    gone: bool = False


@dataclass(frozen=True, slots=True)
class Moment:
    at: float
    estimate_bps: int | None
    queue_s: float


@dataclass
class World:
    """Steps through milliseconds. `links` says from which second on which link is there.

    The camera follows the estimate, and sends a keyframe of six pictures' size each ten seconds.
    `recorded` is a trace: what was sent (number, packets, bytes each) and what was reported (the bytes), and when.
    """

    bandwidth: Bandwidth
    links: Mapping[float, Link]
    camera_bps: float = 4e6
    seed: int = 1
    probes: bool = True
    first: int = 0
    receiver_clock_s: float = 1_000.0
    probed: list[float] = field(default_factory=list)
    recorded: list[tuple[float, tuple[int, int, int] | bytes]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._chance = random.Random(self.seed)  # noqa: S311  # a model is to be repeatable
        self._link = self.links[0.0]
        self._now = 0.0
        self._number = self._unreported = self.first
        self._target_bps, self._waiting, self._drained_at = self.camera_bps, 0.0, 0.0
        self._queue: deque[tuple[int, float]] = deque()
        self._free_at = self._held_until = 0.0
        self._on_the_way: list[tuple[float, int]] = []
        self._arrived: dict[int, int] = {}
        self._fresh = False
        self._reports: list[tuple[float, bytes]] = []

    def run(self, seconds: float) -> list[Moment]:
        """Give a moment for each quarter of a second."""
        moments = list[Moment]()
        for millisecond in range(round(seconds * 1000)):
            self._now = millisecond / 1000
            self._link = self.links[max(at for at in self.links if at <= self._now)]
            if millisecond % 250 == 0:
                self.bandwidth.settle()
                estimate_bps = self.bandwidth.estimate_bps
                self._target_bps = min(self.camera_bps, estimate_bps or self.camera_bps)
                queued_s = len(self._queue) * PACKET * 8 / self._link.rate_bps
                moments.append(Moment(self._now, estimate_bps, queued_s))
            if millisecond % PICTURE_MS == 0:
                times = 6 if millisecond % 10_000 < PICTURE_MS else self._chance.uniform(0.7, 1.3)
                self._waiting += times * self._target_bps / 8 * PICTURE_MS / 1000
                self._probe()
            self._pace()
            self._carry()
            self._arrive()
            if millisecond % REPORT_MS == 0 and self._fresh:
                self._report()
            while self._reports and self._reports[0][0] <= self._now:
                fci = heapq.heappop(self._reports)[1]
                self.recorded.append((self._now, fci))
                self.bandwidth.feedback(fci, self._now)
        return moments

    def _probe(self) -> None:
        if self.probes and (size := self.bandwidth.probe(self._now)):
            self.probed.append(self._now)
            for _ in range(max(1, size // PACKET)):
                self._leave(1)

    def _pace(self) -> None:
        if self._waiting > 0 and self._now >= self._drained_at:
            estimate_bps = self.bandwidth.estimate_bps
            full = estimate_bps is None or estimate_bps >= self.camera_bps
            pace_bps = FULL_PACE_BPS if full else 2.5 * (estimate_bps or 0)
            packets = min(max(1, int(pace_bps * 0.005 / 8 / PACKET)), 48, -int(-self._waiting // PACKET))
            self._leave(packets)
            self._waiting -= packets * PACKET
            self._drained_at = self._now + packets * PACKET * 8 / pace_bps

    def _leave(self, packets: int) -> None:
        batch = (self._number & 0xFFFF, packets, PACKET)
        self.bandwidth.sent(*batch, self._now)
        self.recorded.append((self._now, batch))
        room = max(2, int(self._link.rate_bps * self._link.queue_s / 8 / PACKET))
        for number in range(self._number, self._number + packets):
            if len(self._queue) < room and not self._link.gone:
                self._queue.append((number, self._now))
        self._number += packets

    def _carry(self) -> None:
        link, chance = self._link, self._chance
        while self._queue:
            number, at = self._queue[0]
            done_at = max(self._free_at, at) + PACKET * 8 / link.rate_bps
            if done_at > self._now:
                return
            self._queue.popleft()
            self._free_at = done_at
            if chance.random() < link.loss:
                continue
            there_at = done_at + link.delay_s
            if link.radio_s is not None:
                if there_at >= self._held_until:
                    self._held_until = there_at + link.radio_s(chance)
                there_at = self._held_until
            if chance.random() < link.reordered:
                there_at += 0.012
            heapq.heappush(self._on_the_way, (there_at, number))

    def _arrive(self) -> None:
        while self._on_the_way and self._on_the_way[0][0] <= self._now:
            there_at, number = heapq.heappop(self._on_the_way)
            self._arrived[number] = round((there_at + self.receiver_clock_s) * 4000)
            self._unreported, self._fresh = min(self._unreported, number), True

    def _report(self) -> None:
        last = max(self._arrived)
        fci = feedback.write(self._unreported, [self._arrived.get(one) for one in range(self._unreported, last + 1)])
        # What was reported stays for a second: a packet that comes late is reported with all that followed it.
        self._unreported, self._fresh = last + 1, False
        self._arrived = {one: ticks for one, ticks in self._arrived.items() if ticks > self._arrived[last] - 4000}
        if self._chance.random() >= self._link.feedback_loss and not self._link.gone:
            heapq.heappush(self._reports, (self._now + self._link.delay_s, fci))

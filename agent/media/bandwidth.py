"""What a viewer's link takes: congestion control at the sender, after draft-ietf-rmcat-gcc-02."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Final

from agent.media import transport_cc
from agent.media.delay import DelayTrend
from agent.media.probing import Probing
from agent.media.transport_cc import after_us

_BETA: Final = 0.85  # section 5.5: what is left of the arriving rate after an overuse
_ETA: Final = 1.08  # section 5.5: growth a second while the end is not in sight
_NEAR: Final = 0.85  # of the rate of the last overuse; from there on growth is additive
_PACKET_BITS: Final = 9_600
_RESPONSE_S: Final = 0.1  # section 5.5: response_time is this and a round trip
_AHEAD: Final = 1.5  # section 5.5: an estimate is at most so far above what really arrives
_GROUP_S: Final = 0.005  # section 5.2: packets that leave within this are one group
_RATE_WINDOW_US: Final = 700_000
_MUCH_LOST, _LITTLE_LOST = 0.10, 0.02  # section 6
_LOSS_EVERY_S: Final = 0.5
_LOSS_OF: Final = 20  # fewer packets say nothing about a share
_SILENCE_S: Final = 1.0
_MOST_BATCHES: Final = 2048


@dataclass(slots=True)
class _Batch:
    """Packets that left with one system call, under consecutive transport-wide numbers."""

    number: int
    count: int
    size_bytes: int
    at: float
    is_probe: bool


@dataclass(slots=True)
class _Group:
    """Batches that left together; the receiver's time of the last packet that arrived."""

    sent_at: float
    arrived_us: int


class Bandwidth:
    """One viewer's estimated rate. Times (`now`) are monotonic seconds.

    It begins at `start_bps` with the first report, and is fed with what left and with what the viewer reports.
    """

    def __init__(self, *, start_bps: int, min_bps: int, max_bps: int) -> None:
        self.estimate_bps: int | None = None
        self._rate_bps = float(start_bps)
        self._min_bps, self._max_bps = min_bps, max_bps
        self._batches: deque[_Batch] = deque(maxlen=_MOST_BATCHES)
        self._trend = DelayTrend()
        self._probing = Probing()
        self._group: _Group | None = None
        self._before: _Group | None = None
        self._elapsed_us = 0  # the receiver's clock since the first report, without its wrap
        self._arrived: deque[tuple[int, int]] = deque()  # time of the receiver's clock, bytes
        self._arrived_bytes = 0
        self._has_feedback = False
        self._capacity_bps: float | None = None
        self._round_trip_s = 0.1
        self._updated_at: float | None = None
        self._lost = self._seen = 0
        self._lost_at = self._cut_at = float("-inf")

    def sent(self, number: int, count: int, size_bytes: int, now: float) -> None:
        """Take note that `count` packets of about `size_bytes` left, numbered from `number` on."""
        batches = self._batches
        if self._has_feedback and batches and now - batches[0].at > _SILENCE_S:
            batches.clear()  # nothing is heard of them: the link is gone, or as good as gone
            self._set(self._rate_bps / 2)
        batches.append(_Batch(number, count, size_bytes, now, self._probing.is_part(now)))

    def feedback(self, fci: bytes, now: float) -> None:
        """Take a transport-wide report. Errors: MalformedFeedback."""
        arrivals = transport_cc.parse(fci)
        if not self._has_feedback:
            self._has_feedback, self._updated_at = True, now
        number = arrivals.first
        batches = self._batches
        for time_us in arrivals.times_us:
            while batches and number - batches[0].number & 0xFFFF >= batches[0].count:
                if number - batches[0].number & 0xFFFF > 0x8000:
                    break  # a report on what is forgotten already
                batches.popleft()
            if batches and number - batches[0].number & 0xFFFF < batches[0].count:
                self._packet(batches[0], time_us)
            number = number + 1 & 0xFFFF
        self._update(now)

    def receiver_report(self, fraction_lost: float, round_trip_s: float | None, now: float) -> None:
        """Take a receiver report; its loss counts where no transport-wide reports come."""
        if round_trip_s is not None:
            self._round_trip_s = round_trip_s
        if self._has_feedback:
            return
        if fraction_lost > _MUCH_LOST:
            self._set(self._rate_bps * (1 - fraction_lost / 2))
        elif fraction_lost < _LITTLE_LOST:
            self._set(self._rate_bps * _ETA)

    def remb(self, bitrate_bps: int, now: float) -> None:
        """Take the receiver's own estimate, where it makes one: it saw the arrivals."""
        if not self._has_feedback:
            self._set(bitrate_bps)

    def probe(self, now: float) -> int | None:
        """Ask for a burst of resent packets of so many bytes, now and in one go, or for none."""
        if not self._has_feedback or self._rate_bps >= self._max_bps:
            return None
        return self._probing.wanted(self._rate_bps, now)

    def _packet(self, batch: _Batch, time_us: int | None) -> None:
        self._seen += 1
        if time_us is None:
            self._lost += 1
            return
        self._arrived.append((time_us, batch.size_bytes))
        self._arrived_bytes += batch.size_bytes
        if batch.is_probe:
            self._probing.arrived(time_us, batch.size_bytes)
            return
        group = self._group
        if group is None:
            self._group = _Group(batch.at, time_us)
        elif batch.at - group.sent_at <= _GROUP_S:
            if after_us(time_us, group.arrived_us) > 0:
                group.arrived_us = time_us
        else:
            self._close(group)
            self._group = _Group(batch.at, time_us)

    def _close(self, group: _Group) -> None:
        """Compare a group that is complete with the one before it."""
        before, self._before = self._before, group
        if before is None:
            return
        arrival_us = after_us(group.arrived_us, before.arrived_us)
        self._elapsed_us += arrival_us
        self._trend.add((group.sent_at - before.sent_at) * 1000, arrival_us / 1000, self._elapsed_us / 1000)

    def _update(self, now: float) -> None:
        acked_bps = self._acked_bps()
        passed_s = min(1.0, now - self._updated_at) if self._updated_at is not None else 0.0
        self._updated_at = now
        if self._trend.usage == "over":
            self._probing.disturbed(now)
            if now - self._cut_at > self._round_trip_s + _RESPONSE_S:
                self._cut_at = now
                self._capacity_bps = acked_bps
                self._set(min(self._rate_bps, _BETA * acked_bps) if acked_bps else _BETA * self._rate_bps)
            return
        if self._cut_for_loss(now):
            return
        if (probed_bps := self._probing.result(now)) is not None and probed_bps > self._rate_bps:
            self._capacity_bps = None
            self._set(probed_bps)
        elif self._trend.usage == "normal" and acked_bps:
            self._set(self._grown(acked_bps, passed_s))
        else:
            self._set(self._rate_bps)

    def _grown(self, acked_bps: float, passed_s: float) -> float:
        capacity_bps = self._capacity_bps
        if capacity_bps is not None and acked_bps > capacity_bps * _AHEAD:
            capacity_bps = self._capacity_bps = None  # that was another link
        if capacity_bps is not None and self._rate_bps > _NEAR * capacity_bps:
            grown_bps = self._rate_bps + _PACKET_BITS * passed_s / (_RESPONSE_S + self._round_trip_s)
        else:
            grown_bps = self._rate_bps * _ETA**passed_s
        return min(grown_bps, max(self._rate_bps, _AHEAD * acked_bps + 10_000))

    def _cut_for_loss(self, now: float) -> bool:
        if now - self._lost_at < _LOSS_EVERY_S or self._seen < _LOSS_OF:
            return False
        share = self._lost / self._seen
        self._lost = self._seen = 0
        self._lost_at = now
        if share <= _MUCH_LOST:
            return False
        self._probing.disturbed(now)
        self._set(self._rate_bps * (1 - share / 2))
        return True

    def _acked_bps(self) -> float:
        """Measure what arrived in the last while, by the receiver's clock."""
        arrived = self._arrived
        while arrived and after_us(arrived[-1][0], arrived[0][0]) > _RATE_WINDOW_US:
            self._arrived_bytes -= arrived.popleft()[1]
        if len(arrived) < _LOSS_OF:
            return 0.0
        span_us = after_us(arrived[-1][0], arrived[0][0])
        return self._arrived_bytes * 8e6 / span_us if span_us > _RATE_WINDOW_US // 4 else 0.0

    def _set(self, rate_bps: float) -> None:
        self._rate_bps = max(self._min_bps, min(self._max_bps, rate_bps))
        self.estimate_bps = int(self._rate_bps)

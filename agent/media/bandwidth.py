"""What one viewer's link takes (draft-ietf-rmcat-gcc-02), from what it reports back."""

from __future__ import annotations

from math import inf
from typing import Final

from agent.media import transport_cc
from agent.media.acked import Acked
from agent.media.aimd import RateControl
from agent.media.delay import DelayTrend
from agent.media.history import History
from agent.media.loss import LossControl
from agent.media.probing import FACTOR, Prober

SILENCE_S: Final = 0.5
"""Without feedback for so long and a round trip, the rate is halved, and again each time as long."""

MOST_WAITING: Final = 8
"""Feedback that waits at most, though nobody asks: a second of what receivers send."""

_TICK_MS: Final = transport_cc.TICK_S * 1_000
_ROUND_TRIP_S: Final = 0.1  # until one is known


class Bandwidth:
    """One viewer's estimate; `estimate_bps` is None before the first evidence. `now` is monotonic seconds.

    The lowest counts of what the delay shows, what the loss shows, and what the receiver itself asks for.
    """

    def __init__(self, *, start_bps: int, min_bps: int, max_bps: int) -> None:
        self.estimate_bps: int | None = None
        self._min_bps = min_bps
        self._max_bps = max_bps
        self._history = History()
        self._acked = Acked()
        self._delay = DelayTrend()
        self._rate = RateControl(min(max(start_bps, min_bps), max_bps), min_bps, max_bps)
        self._loss = LossControl(min_bps, max_bps)
        self._prober = Prober()
        self._remb_bps: int | None = None
        self._round_trip_s = _ROUND_TRIP_S
        self._waiting: list[tuple[transport_cc.Feedback, float]] = []
        self._has_feedback = False
        self._unanswered_since: float | None = None
        self._before_silence_bps = 0.0
        self._is_silent = False

    def sent(self, sequence: int, count: int, size_bytes: int, now: float) -> None:
        """Take note that `count` packets of about `size_bytes` left at `now`, numbered (16 bits) from `sequence` on."""
        self._history.sent(sequence, count, size_bytes, now)
        if self._unanswered_since is None:
            self._unanswered_since = now
        elif now - self._unanswered_since > SILENCE_S + self._round_trip_s and self._has_feedback:
            self._silent(now)

    def feedback(self, fci: bytes, now: float) -> None:
        """Take the FCI of a transport-wide feedback packet. Errors: MalformedFeedback.

        While the link takes everything it waits for the next `settle`: with warm caches it costs a third.
        """
        self._waiting.append((transport_cc.parse(fci), now))
        if self._has_room and len(self._waiting) < MOST_WAITING:
            self._unanswered_since = None
        else:
            self.settle()

    def settle(self) -> None:
        """Work through the feedback that waits. Whoever decides by the estimate calls it first."""
        if not self._waiting:
            return
        waiting, self._waiting = self._waiting, []
        for feedback, now in waiting:
            self._learn(feedback, now)
        if self._has_feedback:
            self._decide(now)

    def receiver_report(self, fraction_lost: float, round_trip_s: float | None, now: float) -> None:
        """Take a report block (RFC 3550, section 6.4.1). Where there is transport-wide feedback, that says it all."""
        if self._has_feedback:
            return
        if round_trip_s is not None:
            self._round_trip_s = round_trip_s
        self._loss.report(fraction_lost, self._lowest(), None)
        self.estimate_bps = round(self._lowest())

    def remb(self, bitrate_bps: int, now: float) -> None:
        """Take what a receiver estimates itself (draft-alvestrand-rmcat-remb-03): it caps the estimate."""
        self._remb_bps = bitrate_bps
        self.estimate_bps = round(self._lowest())

    def probe(self, now: float) -> int | None:
        """Ask for a cluster of packets of so many bytes, to leave at once, or for none. Asking begins it."""
        if not self._has_feedback or self._is_silent or self._delay.usage != "normal":
            return None
        estimate_bps = self._lowest()
        if estimate_bps >= self._max_bps:
            return None
        target_bps = min(max(FACTOR * estimate_bps, self._before_silence_bps), self._max_bps)
        return self._prober.wanted(self._history, target_bps, now)

    @property
    def _has_room(self) -> bool:
        return self.estimate_bps == self._max_bps and self._delay.usage == "normal" and not self._is_silent

    def _learn(self, feedback: transport_cc.Feedback, now: float) -> None:
        arrived = self._history.arrived(feedback)
        if self._history.gap:
            self._acked.restart()
        for batch, packets, last_at in arrived:
            self._acked.add(last_at * _TICK_MS, packets * batch.size_bytes)
            self._delay.add(batch.sent_at * 1_000, batch.first_at * _TICK_MS)
        if arrived:
            self._has_feedback = True
            if self._is_silent:  # what was lost meanwhile has been answered
                self._is_silent = False
                self._history.counts_after = now
                self._prober.hurry(now)
            self._unanswered_since = None
            self._round_trip_s += 0.125 * (now - arrived[-1][0].sent_at - self._round_trip_s)

    def _decide(self, now: float) -> None:
        acked_bps, history = self._acked.rate_bps(), self._history
        decreased = self._rate.update(self._delay.usage, acked_bps, self._round_trip_s, now)
        decreased |= self._loss.counted(history.reported, history.lost, self._lowest(), acked_bps, now)
        if decreased:
            # What left before this shows the queue that it answers, and is not to be answered twice.
            history.counts_after = now
            self._prober.decreased(now)
        result = self._prober.judged(history, now)
        if result is not None:
            self._before_silence_bps = 0.0
        if result is not None and self._delay.usage == "normal":
            self._rate.probed(result.rate_bps, passed=result.passed)
            self._loss.raise_to(result.rate_bps)
        self.estimate_bps = round(self._lowest())

    def _silent(self, now: float) -> None:
        lowest_bps = self._lowest()
        self._before_silence_bps = max(self._before_silence_bps, lowest_bps)
        self._is_silent = True
        self._rate.set(lowest_bps / 2)
        self._unanswered_since, self._history.counts_after = now, inf
        self.estimate_bps = round(self._lowest())

    def _lowest(self) -> float:
        lowest_bps = min(self._rate.rate_bps, self._loss.rate_bps)
        if self._remb_bps is not None:
            lowest_bps = min(lowest_bps, self._remb_bps)
        return max(lowest_bps, self._min_bps)

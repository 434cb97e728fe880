"""Which packets left when, and what a viewer's feedback says of them."""

from __future__ import annotations

from bisect import bisect_right
from operator import attrgetter
from typing import Final

from agent.media.transport_cc import WRAP_TICKS, Feedback

KEPT_S: Final = 2.0
"""How long a batch is waited for after later ones were reported: feedback may come out of order."""

MOST_BATCHES: Final = 1024
"""Batches kept when no feedback comes at all; the older half goes."""

_first = attrgetter("first")


class Batch:
    """`count` packets of `size_bytes` each that left at `sent_at`, numbered from `first` on without wrapping.

    `known` and `seen` have a bit for each packet, the first packet's the highest: what was reported at all, and
    what was reported as received, between `first_at` and `last_at` in ticks of the receiver's clock.
    """

    __slots__ = ("count", "first", "first_at", "known", "last_at", "seen", "sent_at", "size_bytes")

    def __init__(self, first: int, count: int, size_bytes: int, sent_at: float) -> None:
        self.first = first
        self.count = count
        self.size_bytes = size_bytes
        self.sent_at = sent_at
        self.known = self.seen = 0
        self.first_at = self.last_at = 0


class History:
    """The batches of the last seconds. `reported` and `lost` count packets sent after `counts_after`.

    `gap` says that the last feedback did not follow on the one before: one was lost.
    """

    def __init__(self) -> None:
        self.next = 0
        self.reported = 0
        self.lost = 0
        self.counts_after = -1.0
        self.gap = False
        self._batches: list[Batch] = []
        self._arrived_at: int | None = None
        self._reported_to = 0

    def sent(self, sequence: int, count: int, size_bytes: int, now: float) -> None:
        """Remember a batch; `sequence` has 16 bits and rises."""
        first = self.next + ((sequence - self.next) & 0xFFFF)
        self.next = first + count
        self._batches.append(Batch(first, count, size_bytes, now))
        if len(self._batches) > MOST_BATCHES:
            del self._batches[: MOST_BATCHES // 2]

    def arrived(self, feedback: Feedback) -> list[tuple[Batch, int, int]]:
        """Enter what is reported: each batch that more is known to have arrived of, of how many packets, and when last.

        Times are in ticks that do not wrap. What was never sent, or long ago, is passed over.
        """
        base = self.next - 1 - ((self.next - 1 - feedback.base) & 0xFFFF)
        end = base + feedback.count
        self.gap = base > self._reported_to > 0
        self._reported_to = max(self._reported_to, end)
        received, arrivals = feedback.received, feedback.arrivals
        unwrapped = self._unwrapped(arrivals[0]) if arrivals else 0
        at, arrived, batches = 0, list[tuple[Batch, int, int]](), self._batches
        index = begin = max(0, bisect_right(batches, base, key=_first) - 1)
        if batches and batches[index].first > base:  # the first ones are forgotten
            at = (received >> max(0, end - batches[index].first)).bit_count()
        while index < len(batches) and (batch := batches[index]).first < end:
            index += 1
            # The part of the feedback that is about this batch: packets `low` to `high`.
            low, high = max(batch.first, base), min(batch.first + batch.count, end)
            if low >= high:
                continue
            every = (1 << (high - low)) - 1
            bits = received >> (end - high) & every
            number, place = bits.bit_count(), batch.first + batch.count - high
            fresh = bits << place & ~batch.seen
            if batch.sent_at > self.counts_after:
                self._count(batch, every << place, fresh)
            batch.known |= every << place
            if fresh:
                # Packets that were reported before are a rare sight here, so that their times may stand in.
                first_at, last_at = min(arrivals[at : at + number]), max(arrivals[at : at + number])
                first_at, last_at = first_at + unwrapped, last_at + unwrapped
                batch.first_at = min(batch.first_at, first_at) if batch.seen else first_at
                batch.last_at = max(batch.last_at, last_at) if batch.seen else last_at
                batch.seen |= fresh
                arrived.append((batch, fresh.bit_count(), last_at))
            at += number
        self._forget(begin)
        return arrived

    def since(self, first: int) -> list[Batch]:
        """List the batches from number `first` on."""
        return self._batches[max(0, bisect_right(self._batches, first, key=_first) - 1) :]

    def _count(self, batch: Batch, known: int, fresh: int) -> None:
        unheard = known & ~batch.known
        self.reported += unheard.bit_count()
        # A packet that was called lost and then arrives is no longer lost: it was reordered.
        self.lost += (unheard & ~fresh).bit_count() - (fresh & ~unheard).bit_count()

    def _unwrapped(self, ticks: int) -> int:
        """Say what to add to wrapping times, of which `ticks` is one."""
        if self._arrived_at is None:
            self._arrived_at = ticks
        half = WRAP_TICKS // 2
        full = self._arrived_at + (ticks - self._arrived_at + half) % WRAP_TICKS - half
        self._arrived_at = full
        return full - ticks

    def _forget(self, begin: int) -> None:
        if begin > MOST_BATCHES // 8:
            oldest_s = self._batches[begin].sent_at - KEPT_S
            cut = bisect_right(self._batches, oldest_s, hi=begin, key=attrgetter("sent_at"))
            del self._batches[:cut]

"""What a viewer was sent lately, and which of it is sent again (RFC 4585, section 6.2.1; RFC 4588)."""

from __future__ import annotations

from bisect import bisect_right
from collections import deque
from collections.abc import Iterable, Iterator
from typing import Final

from agent.media.rtp import Image

KEPT_S: Final = 1.0
"""How far back a packet can be asked for: a picture that is later than that is not worth its packets."""

_SHARE: Final = 0.25  # of the viewer's rate that resent packets may take
_LEAST_ROUND_TRIP_S: Final = 0.02
_UNKNOWN_ROUND_TRIP_S: Final = 0.1
_MOST_REMEMBERED: Final = 2048


class Sent:
    """Packets `first` to `first + count` of an image, which left with consecutive numbers from `sequence` on."""

    __slots__ = ("at", "count", "first", "image", "sequence", "timestamp")

    # Written out: one is made for each burst and viewer, and what a dataclass makes cannot be compiled.
    def __init__(self, sequence: int, image: Image, first: int, count: int, timestamp: int, at: float) -> None:
        self.sequence = sequence
        self.image = image
        self.first = first
        self.count = count
        self.timestamp = timestamp
        self.at = at


class Resends:
    """Remembers what was sent since the last keyframe; the packets themselves are shared by all viewers.

    Each lost packet is sent again at most once a round trip, all of them within a quarter of the viewer's rate.
    """

    def __init__(self) -> None:
        self.refused = 0
        self._sent: deque[Sent] = deque()
        self._keyframe = 0  # the number of its first packet
        self._since = 0  # packets that left from there on
        self._asked: dict[int, float] = {}
        self._spent_bits = 0.0
        self._at = 0.0

    def sent(self, sent: Sent) -> None:
        """Remember a burst, which is numbered on from the one before, and forget what is older than KEPT_S."""
        self._sent.append(sent)
        self._since += sent.count
        while sent.at - self._sent[0].at > KEPT_S:
            self._sent.popleft()

    def keyframe(self, sequence: int) -> None:
        """Forget everything: a keyframe begins with this number, and what was before it is needed no more."""
        self._sent.clear()
        self._keyframe, self._since = sequence, 0

    def gone(self, lost: Iterable[int]) -> bool:
        """Say whether something is asked for that cannot be sent again, and that no keyframe came after."""
        since = min(self._since, 0x8000)  # half of the numbers there are: more cannot be told from what was before
        return any((sequence - self._keyframe) & 0xFFFF < since and self.find(sequence) is None for sequence in lost)

    def wanted(
        self, lost: Iterable[int], *, round_trip_s: float | None, rate_bps: float, now: float
    ) -> Iterator[tuple[Sent, int]]:
        """Yield the lost packets to send again: a burst, and which packet of its image."""
        if len(self._asked) > _MOST_REMEMBERED:
            self._asked.clear()
        quiet_s = max(_LEAST_ROUND_TRIP_S, _UNKNOWN_ROUND_TRIP_S if round_trip_s is None else round_trip_s)
        for sequence in lost:
            found = self.find(sequence)
            if found is None or now - self._asked.get(sequence, -quiet_s) < quiet_s:
                continue
            if not self._affords(found[0].image.stride * 8, rate_bps, now):
                self.refused += 1
                continue
            self._asked[sequence] = now
            yield found

    def find(self, sequence: int) -> tuple[Sent, int] | None:
        """Look up a packet by its sequence number: its burst, and its place in the image."""
        if not self._sent:
            return None
        oldest = self._sent[0].sequence
        # Not one by one: there may be a burst for each packet, and a NACK may name hundreds of them.
        after = bisect_right(self._sent, sequence - oldest & 0xFFFF, key=lambda sent: sent.sequence - oldest & 0xFFFF)
        sent = self._sent[after - 1]
        index = sequence - sent.sequence & 0xFFFF
        return (sent, sent.first + index) if index < sent.count else None

    def latest(self, size_bytes: int) -> Iterator[tuple[Sent, int]]:
        """Yield the packets sent last, the newest first, up to `size_bytes` of them: what a probe is made of."""
        for sent in reversed(self._sent):
            for index in range(sent.first + sent.count - 1, sent.first - 1, -1):
                if size_bytes <= 0:
                    return
                size_bytes -= sent.image.stride
                yield sent, index

    def _affords(self, bits: int, rate_bps: float, now: float) -> bool:
        """Take from a budget that refills by the share of the rate, and holds as much as a second of it."""
        refill_bps = _SHARE * rate_bps
        # What was spent at a higher rate than now's is no debt for seconds.
        self._spent_bits = max(0.0, min(self._spent_bits, refill_bps) - (now - self._at) * refill_bps)
        self._at = now
        if self._spent_bits + bits > refill_bps:
            return False
        self._spent_bits += bits
        return True

"""RTP packets to access units, without decoding (RFC 6184, section 5.1): order, loss, and where a picture may start.

Pure; `now` is in monotonic seconds.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from viewer.h264 import is_keyframe

PATIENCE_S: Final = 0.4  # how long a packet may be missing: a resend over a slow path takes no more
MOST_WAITING: Final = 8192  # packets behind a missing one, some 10 MB; one more, and it counts as lost
ASK_EVERY_S: Final = 0.5  # for a keyframe
CLOCK_HZ: Final = 90_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Packet:
    """One RTP packet with its payload as Annex B; a fragment of a NAL unit begins without a start code."""

    sequence: int  # 16 bits
    timestamp: int  # 32 bits of a 90 kHz clock
    marker: bool  # the last packet of its access unit
    data: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Unit:
    """One complete access unit, Annex B, whose references have all arrived."""

    data: bytes
    ticks: int  # 90 kHz, never wraps, 0 at the first unit
    keyframe: bool


class Reassembly:
    """Gives complete access units in order. After a loss nothing counts until the next keyframe, which is asked for."""

    def __init__(self) -> None:
        self.packets_lost = 0
        self.units_dropped = 0
        self._next: int | None = None
        self._waiting: dict[int, Packet] = {}
        self._missing_since: float | None = None
        self._parts: list[bytes] = []
        self._timestamp = 0
        self._last: tuple[int, int] | None = None  # timestamp and ticks of the last unit
        self._in_sync = False  # everything since the last keyframe has arrived
        self._broken = False  # since the last question for a keyframe
        self._asked_at: float | None = None

    def add(self, packet: Packet, now: float) -> list[Unit]:
        """Take one packet, in any order; late and repeated ones are passed over."""
        if self._next is None:
            self._next = packet.sequence
        if _distance(self._next, packet.sequence) >= 0x8000:
            return []
        self._waiting[packet.sequence] = packet
        before = self._next
        units = list(self._take())
        if not self._waiting:
            self._missing_since = None
        elif self._missing_since is None or self._next != before:
            self._missing_since = now
        elif now - self._missing_since >= PATIENCE_S or len(self._waiting) > MOST_WAITING:
            self._give_up()
            units += self._take()
            self._missing_since = now if self._waiting else None
        return units

    def restart(self) -> None:
        """Begin with another connection, whose packets have other numbers and the same clock."""
        self._next = self._missing_since = None
        self._waiting.clear()
        self._parts = []
        self._in_sync = self._broken = False

    def wants_keyframe(self, now: float) -> bool:
        """Say whether to ask for a keyframe now; at most once in ASK_EVERY_S, and until one has come."""
        if not self._broken or self._in_sync or (self._asked_at is not None and now - self._asked_at < ASK_EVERY_S):
            return False
        self._broken = False
        self._asked_at = now
        return True

    def _take(self) -> Iterator[Unit]:
        while self._next is not None and (packet := self._waiting.pop(self._next, None)) is not None:
            self._next = (self._next + 1) & 0xFFFF
            if not packet.data:
                continue  # padding
            if self._parts and packet.timestamp != self._timestamp:
                yield from self._finish()  # not every sender sets the marker
            self._timestamp = packet.timestamp
            self._parts.append(packet.data)
            if packet.marker:
                yield from self._finish()

    def _finish(self) -> Iterator[Unit]:
        data, self._parts = b"".join(self._parts), []
        keyframe = is_keyframe(data)
        self._in_sync = self._in_sync or keyframe
        if not self._in_sync:
            self._broken = True
            self.units_dropped += 1
            return
        yield Unit(data=data, ticks=self._unwrapped(), keyframe=keyframe)

    def _unwrapped(self) -> int:
        ticks = 0
        if self._last is not None:
            before, ticks = self._last
            step = (self._timestamp - before) & 0xFFFFFFFF
            ticks += step if step < 0x80000000 else step - 0x100000000
        self._last = self._timestamp, ticks
        return ticks

    def _give_up(self) -> None:
        assert self._next is not None  # noqa: S101  # something waits, so something came before it
        begin = self._next
        self._next = min(self._waiting, key=lambda sequence: _distance(begin, sequence))
        self.packets_lost += _distance(begin, self._next)
        self._parts = []
        self._in_sync = False
        self._broken = True


def _distance(begin: int, sequence: int) -> int:
    return (sequence - begin) & 0xFFFF

"""One encode, many viewers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Final, Protocol

from agent.media.access_unit import AccessUnit, StreamName
from agent.media.capture_clock import CaptureClock
from agent.media.packetize import Packetized

KEYFRAME_QUIET_S: Final = 0.5
"""The encoder is asked for a keyframe at most so often: each costs as much as some twenty other pictures."""


class Viewer(Protocol):
    """Whoever a stream hands its pictures to."""

    def take(self, packetized: Packetized, now: float) -> bool:
        """Send or queue a picture, or drop it. True when that overflowed, and a keyframe is wanted."""


class Stream:
    """Hands access units to all viewers, who share the packets made of them. Times (`now`) are monotonic seconds.

    `ask` asks the encoder for a keyframe; `sent` is called when a picture has been handed to everyone. What came since
    the last keyframe is kept while that is younger than KEYFRAME_QUIET_S: who joins then is served from it, where the
    encoder would not be asked so soon again. RTP timestamps are the same for all viewers: 90 kHz from `origin` on.
    """

    def __init__(
        self,
        name: StreamName = "main",
        *,
        ask: Callable[[], None],
        sent: Callable[[], None] = lambda: None,
        origin: int = 0,
    ) -> None:
        self.name: Final = name
        self._sent = sent
        self._origin = origin
        self.keyframe_causes: Counter[str] = Counter()
        self.keyframes_asked = 0
        self._ask = ask
        self._viewers: list[Viewer] = []
        self._clock = CaptureClock()
        self._recent: list[Packetized] = []
        self._asked_at: float | None = None
        self._wanted = False

    @property
    def viewers(self) -> int:
        """Count who is subscribed."""
        return len(self._viewers)

    def subscribe(self, viewer: Viewer, now: float, *, cause: str = "join") -> None:
        """Add a viewer, which begins with a keyframe: the last one, if that was just now, else one that is asked for.

        One that comes from another stream (cause "switch") is never given what is older than it has seen.
        """
        self._viewers.append(viewer)
        if cause == "join" and self._recent and now - self._recent[0].published_at <= KEYFRAME_QUIET_S:
            overflows = [viewer.take(packetized, now) for packetized in self._recent]
            if any(overflows):
                self.request_keyframe("overflow", now)
        else:
            self.request_keyframe(cause, now)

    def unsubscribe(self, viewer: Viewer) -> None:
        """Take a viewer off. Doing it twice is harmless."""
        if viewer in self._viewers:
            self._viewers.remove(viewer)

    def request_keyframe(self, cause: str, now: float) -> None:
        """Want a keyframe because of `cause`: "pli", "fir", "nack", "join", "switch" or "overflow".

        Within KEYFRAME_QUIET_S of the last question to the encoder it is remembered, and asked on a later
        `publish` unless a keyframe came by itself.
        """
        self.keyframe_causes[cause] += 1
        self._wanted = True
        self._ask_if_quiet(now)

    def publish(self, unit: AccessUnit, now: float) -> None:
        """Hand `unit` to every viewer, and ask for the keyframe that is still wanted. Errors: MalformedH264."""
        captured_at = self._clock.captured_at(unit.pts_us, now)
        if unit.keyframe:
            self._wanted = False
        if not self._viewers:
            self._recent.clear()
            return
        timestamp = self._origin + unit.pts_us * 9 // 100 & 0xFFFF_FFFF
        packetized = Packetized(unit, timestamp, captured_at, now)
        self._remember(packetized, now)
        for viewer in tuple(self._viewers):
            if viewer.take(packetized, now):
                self.request_keyframe("overflow", now)
        self._ask_if_quiet(now)
        self._sent()

    def _remember(self, packetized: Packetized, now: float) -> None:
        if packetized.unit.keyframe:
            self._recent = [packetized]
        elif self._recent and now - self._recent[0].published_at <= KEYFRAME_QUIET_S:
            self._recent.append(packetized)
        else:
            self._recent.clear()

    def _ask_if_quiet(self, now: float) -> None:
        if self._wanted and (self._asked_at is None or now - self._asked_at >= KEYFRAME_QUIET_S):
            self._wanted = False
            self._asked_at = now
            self.keyframes_asked += 1
            self._ask()

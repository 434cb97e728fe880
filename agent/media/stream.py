"""One source, many viewers."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Callable

from agent.media.access_unit import AccessUnit
from agent.media.feed import Feed

KEYFRAME_QUIET_S = 0.5
"""The encoder is asked for a keyframe at most so often: each costs as much as some twenty other pictures."""


class Stream:
    """Fans access units out to the feeds of all viewers. Times (`now`) are monotonic seconds.

    `ask` asks the encoder for a keyframe.
    What viewers see has a strictly rising pts, also across restarts of the source, whose own begins at 0 again.
    """

    def __init__(self, *, ask: Callable[[], None]) -> None:
        self.keyframe_causes: Counter[str] = Counter()
        self.keyframes_asked = 0
        self._ask = ask
        self._feeds: list[Feed] = []
        self._asked_at: float | None = None
        self._wanted = False
        self._published_at: float | None = None
        self._source_pts_us = -1
        self._offset_us = 0

    @property
    def viewers(self) -> int:
        """Count the feeds that are subscribed."""
        return len(self._feeds)

    def subscribe(self, wake: Callable[[], None]) -> Feed:
        """Add a viewer; a keyframe is asked for on its behalf (cause "join")."""
        feed = Feed(wake)
        self._feeds.append(feed)
        if self._published_at is not None:
            # A picture ago at most while the source runs; a source that starts begins with a keyframe anyway.
            self.request_keyframe("join", self._published_at)
        else:
            self.keyframe_causes["join"] += 1
        return feed

    def unsubscribe(self, feed: Feed) -> None:
        """Take a viewer off and close its feed. Doing it twice is harmless."""
        feed.close()
        if feed in self._feeds:
            self._feeds.remove(feed)

    def request_keyframe(self, cause: str, now: float) -> None:
        """Want a keyframe because of `cause`: "pli", "join" or "overflow".

        Within KEYFRAME_QUIET_S of the last question to the encoder it is remembered, and asked on a later
        `publish` unless a keyframe came by itself.
        """
        self.keyframe_causes[cause] += 1
        self._wanted = True
        self._ask_if_quiet(now)

    def publish(self, unit: AccessUnit, now: float) -> None:
        """Hand `unit` to every viewer, and ask for the keyframe that is still wanted."""
        unit = self._rebased(unit, now)
        self._published_at = now
        if unit.keyframe:
            self._wanted = False
        for feed in tuple(self._feeds):
            if feed.push(unit):
                self.request_keyframe("overflow", now)
        self._ask_if_quiet(now)

    def _ask_if_quiet(self, now: float) -> None:
        if self._wanted and (self._asked_at is None or now - self._asked_at >= KEYFRAME_QUIET_S):
            self._wanted = False
            self._asked_at = now
            self.keyframes_asked += 1
            self._ask()

    def _rebased(self, unit: AccessUnit, now: float) -> AccessUnit:
        if unit.pts_us <= self._source_pts_us and self._published_at is not None:
            # The source started again: go on after the last picture by as much as really passed.
            passed_us = max(1, round((now - self._published_at) * 1_000_000))
            self._offset_us += self._source_pts_us + passed_us - unit.pts_us
        self._source_pts_us = unit.pts_us
        if not self._offset_us:
            return unit
        return dataclasses.replace(unit, pts_us=unit.pts_us + self._offset_us)

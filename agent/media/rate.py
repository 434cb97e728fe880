"""What each stream's encoder aims at, and which viewer is given which stream, from the viewers' estimates."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from agent.media.access_unit import StreamName

SUB_MIN_BPS: Final = 100_000
"""The sub stream is not lowered below this: what is left of a picture then is worth nothing."""

SHARE: Final = 0.85
"""How much of what a link takes is used: the rest is for headers, resent packets and the estimate's own error."""
_TIGHT: Final = 1.1
"""A link that takes less than so many times the bitrate has it lowered."""
_STEP: Final = 1.25
"""A bitrate is raised by this factor at most, in each _RISE_S."""
_RISE_S: Final = 0.5
_CALM_S: Final = 2.0
"""A bitrate that was lowered stays so long before it is raised."""
_LEAST_CHANGE: Final = 0.05

# What a viewer's link takes, as a multiple of the main stream's bitrate. A viewer goes to the sub stream at once, after
# a moment, or when it is short on the average; from 0.8 to 1.1 is more than an estimate that errs by 15 % spans.
_FAR_TOO_LITTLE: Final = 0.5
_TOO_LITTLE: Final = 0.8
_MOMENT_S: Final = 1.0
_SHORT: Final = 0.95
_AVERAGE_S: Final = 2.0
_PLENTY: Final = 1.2
"""More than this is no reserve for worse times: the average knows no more."""
_ENOUGH: Final = 1.1
_ENOUGH_S: Final = 2.0

# A viewer stays on the sub stream so long at least, and twice as long each time that it had only just returned.
_STAY_S: Final = 3.0
_STAY_AFTER_SHORT_S: Final = 10.0
_LONGEST_STAY_S: Final = 24.0
_RELAPSE_S: Final = 20.0
_SETTLED_S: Final = 10.0
"""So long after its return a viewer is not moved for being short on the average."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ViewerRate:
    """A viewer: what its link takes, in bits a second (None: not known yet), and the stream it is on or moving to."""

    key: str
    estimate_bps: int | None
    stream: StreamName


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What both encoders aim at, in bits a second, and each viewer's stream by its key."""

    main_bps: int
    sub_bps: int
    streams: Mapping[str, StreamName]


class Rates:
    """Decides for all viewers of a source. `now` is in monotonic seconds.

    The strongest viewer on the main stream sets its bitrate; who cannot follow goes to the sub stream, whose bitrate
    the weakest there sets. Without a sub stream the weakest viewer sets the main one's. A viewer whose estimate is not
    known, or stands at the main stream's full bitrate, counts as able to take everything.
    """

    def __init__(self, *, main_max_bps: int, main_min_bps: int, sub_max_bps: int, sub_min_bps: int) -> None:
        self._main = _Target(max_bps=main_max_bps, min_bps=main_min_bps)
        self._sub = _Target(max_bps=min(sub_max_bps, main_max_bps), min_bps=sub_min_bps)
        self._places: dict[str, _Place] = {}

    def decide(self, viewers: Sequence[ViewerRate], now: float, *, has_sub: bool) -> Decision:
        """Decide anew; to be asked some four times a second, and whenever a viewer comes or goes."""
        self._places = {viewer.key: self._places.get(viewer.key) or _Place() for viewer in viewers}
        if not has_sub:
            self._main.follow(min(map(self._capacity, viewers), default=None), now)
            return self._decision(dict.fromkeys(self._places, "main"))
        on_main = [self._capacity(viewer) for viewer in viewers if viewer.stream == "main"]
        # While nobody is on it, the main stream waits for the strongest at a bitrate that it can return to.
        self._main.follow(max(on_main or map(self._capacity, viewers), default=None), now)
        # Who is not known yet is about to be given everything: nobody who cannot follow waits for that to happen.
        main_bps = self._main.max_bps if math.inf in on_main else self._main.bps
        streams = {
            viewer.key: self._places[viewer.key].stream(viewer.stream, self._capacity(viewer) / main_bps, now)
            for viewer in viewers
        }
        on_sub = [self._capacity(viewer) for viewer in viewers if streams[viewer.key] == "sub"]
        self._sub.follow(min(on_sub, default=None), now)
        return self._decision(streams)

    def _capacity(self, viewer: ViewerRate) -> float:
        # Estimates end at the full bitrate: one at the top is a link that takes it, not one that is to keep a reserve.
        if viewer.estimate_bps is None or viewer.estimate_bps >= self._main.max_bps:
            return math.inf
        return viewer.estimate_bps

    def _decision(self, streams: Mapping[str, StreamName]) -> Decision:
        return Decision(main_bps=self._main.bps, sub_bps=self._sub.bps, streams=streams)


class _Target:
    """A bitrate that follows what a link takes: down at once, up in steps."""

    def __init__(self, *, max_bps: int, min_bps: int) -> None:
        self.max_bps = self.bps = max_bps
        self._min_bps = min(min_bps, max_bps)
        self._fresh = True
        self._lowered_at = -math.inf
        self._room_since: float | None = None
        self._room_bps = 0  # the least that there was room for since then

    def follow(self, capacity_bps: float | None, now: float) -> None:
        """Aim at the part of `capacity_bps` that is to be used; None is for no link at all, and starts anew."""
        if capacity_bps is None:
            self.bps, self._fresh, self._lowered_at, self._room_since = self.max_bps, True, -math.inf, None
            return
        goal_bps = int(min(self.max_bps, max(self._min_bps, capacity_bps * SHARE)))
        if self._fresh or capacity_bps < self.bps * _TIGHT:
            self._lower(goal_bps, now)
        elif goal_bps == self.bps or (goal_bps < self.bps * (1 + _LEAST_CHANGE) and goal_bps != self.max_bps):
            self._room_since = None
        else:
            self._raise(goal_bps, now)
        self._fresh = False

    def _lower(self, goal_bps: int, now: float) -> None:
        self._room_since = None
        if goal_bps < self.bps * (1 - _LEAST_CHANGE) or goal_bps == self._min_bps < self.bps:
            self.bps = goal_bps
            self._lowered_at = now

    def _raise(self, goal_bps: int, now: float) -> None:
        if self._room_since is None:
            self._room_since, self._room_bps = now, goal_bps
        self._room_bps = min(self._room_bps, goal_bps)
        if now - self._room_since >= _RISE_S and now - self._lowered_at >= _CALM_S:
            self.bps = int(min(self._room_bps, self.bps * _STEP))
            self._room_since, self._room_bps = now, goal_bps


class _Place:
    """Where one viewer is, and how well its link does there."""

    def __init__(self) -> None:
        self._stream: StreamName = "main"
        self._average = _PLENTY
        self._looked_at: float | None = None
        self._since: float | None = None  # too little on the main stream, or enough on the sub stream
        self._left_at = self._returned_at = -math.inf
        self._stay_s = _STAY_S

    def stream(self, stream: StreamName, ratio: float, now: float) -> StreamName:
        """Say where it belongs: from where it is, and what its link takes as a multiple of the main bitrate."""
        if stream != self._stream:
            self._move(stream)
        if stream == "main":
            self._on_main(min(ratio, _PLENTY), now)
        else:
            self._on_sub(ratio, now)
        return self._stream

    def _on_main(self, ratio: float, now: float) -> None:
        if self._looked_at is not None:
            self._average += (ratio - self._average) * -math.expm1((self._looked_at - now) / _AVERAGE_S)
        self._looked_at = now
        short = self._average < _SHORT and now - self._returned_at >= _SETTLED_S
        too_little = self._lasts(ratio < _TOO_LITTLE, _MOMENT_S, now)
        if ratio < _FAR_TOO_LITTLE or too_little or short:
            stay_s = _STAY_AFTER_SHORT_S if short else _STAY_S
            if now - self._returned_at < _RELAPSE_S:
                stay_s = min(_LONGEST_STAY_S, max(stay_s, 2 * self._stay_s))
            self._left_at, self._stay_s = now, stay_s
            self._move("sub")

    def _on_sub(self, ratio: float, now: float) -> None:
        enough = self._lasts(ratio >= _ENOUGH, _ENOUGH_S, now)
        if enough and now - self._left_at >= self._stay_s:
            self._returned_at = now
            self._move("main")

    def _lasts(self, condition: bool, for_s: float, now: float) -> bool:
        if not condition:
            self._since = None
        elif self._since is None:
            self._since = now
        return self._since is not None and now - self._since >= for_s

    def _move(self, stream: StreamName) -> None:
        self._stream = stream
        self._average = _PLENTY
        self._looked_at = self._since = None

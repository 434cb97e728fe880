"""What the encoder aims at, and which viewer is given which stream: decided from all viewers' estimated rates."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from agent.media.access_unit import StreamName

SHARE: Final = 0.85
"""Of an estimated rate the encoder takes so much: the rest is for headers, resent packets and large pictures."""

DOWN: Final = 0.8
"""A viewer whose link takes less than this part of what others are sent gets the sub stream."""

UP: Final = 1.1
"""It gets the main stream again when its link takes more than this multiple of it."""

SUB_MIN_BPS: Final = 100_000
"""The sub stream is not lowered below this: what is left of a picture then is worth nothing."""

SOON_S: Final = 1.0
LATE_S: Final = 2.0
DWELL_S: Final = 3.0
"""How long a viewer has to be too weak, or strong enough, before it is moved, and stays where it was moved to."""

_STEP: Final = 0.05  # a smaller change is not worth a word to the encoder
_RISE: Final = 1.15  # a decision, at most: four a second let a rate double in a second and a half


@dataclass(frozen=True, slots=True, kw_only=True)
class ViewerRate:
    """A viewer, what its link is estimated to take (None when not known yet), and the stream it is given."""

    key: str
    estimate_bps: int | None
    stream: StreamName


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """The encoders' bitrates, and a stream for each viewer by its key."""

    main_bps: int
    sub_bps: int
    streams: Mapping[str, StreamName]


@dataclass(slots=True)
class _Inclination:
    """Since when a viewer seems to be on the wrong stream, and when it was moved last."""

    since: float | None = None
    moved_at: float = float("-inf")


class Rates:
    """Decides several times a second. Times (`now`) are monotonic seconds.

    Whoever is weaker than others is given the sub stream, so that the others lose nothing; main follows the weakest
    of those that are left on it. Without a sub stream main follows the weakest of all.
    """

    def __init__(self, *, main_max_bps: int, main_min_bps: int, sub_max_bps: int, sub_min_bps: int) -> None:
        self._main_max_bps = main_max_bps
        self._main_min_bps = min(main_min_bps, main_max_bps)
        self._sub_max_bps = sub_max_bps
        self._sub_min_bps = min(sub_min_bps, sub_max_bps)
        self._main_bps, self._sub_bps = main_max_bps, sub_max_bps
        self._inclined: dict[str, _Inclination] = {}

    def decide(self, viewers: Sequence[ViewerRate], now: float, *, has_sub: bool) -> Decision:
        """Decide for the viewers that are connected; those that are not named are forgotten."""
        self._inclined = {viewer.key: self._inclined.get(viewer.key, _Inclination()) for viewer in viewers}
        affords = {viewer.key: self._affords(viewer) for viewer in viewers}
        target_bps = self._target(list(affords.values()), has_sub=has_sub)
        streams: dict[str, StreamName] = {
            viewer.key: self._stream(viewer, affords[viewer.key], target_bps, now) if has_sub else "main"
            for viewer in viewers
        }
        # The others are not slowed by one that is about to leave main: it only counts once it stays.
        on_main = [
            bps for key, bps in affords.items() if streams[key] == "main" and (not has_sub or bps >= DOWN * target_bps)
        ]
        on_sub = [bps for key, bps in affords.items() if streams[key] == "sub"]
        main_bps = min(on_main, default=target_bps)
        self._main_bps = self._moved(self._main_bps, main_bps, self._main_min_bps, self._main_max_bps)
        sub_bps = min(on_sub, default=self._sub_max_bps)
        self._sub_bps = self._moved(self._sub_bps, sub_bps, self._sub_min_bps, self._sub_max_bps)
        return Decision(main_bps=self._main_bps, sub_bps=self._sub_bps, streams=streams)

    def _affords(self, viewer: ViewerRate) -> int:
        """Say what the encoder may spend for this viewer: all, as long as nothing else is known."""
        if viewer.estimate_bps is None:
            return self._main_max_bps
        return min(self._main_max_bps, self._whole(viewer.estimate_bps))

    def _whole(self, estimate_bps: int) -> int:
        # An estimate at the top is a link that takes the stream, not one that is to keep a reserve.
        return estimate_bps if estimate_bps >= self._main_max_bps else int(SHARE * estimate_bps)

    def _target(self, affordable: list[int], *, has_sub: bool) -> int:
        """Choose what main is measured by: the strongest viewer where the weak have a stream of their own."""
        if not affordable:
            return self._main_max_bps
        return max(self._main_min_bps, max(affordable) if has_sub else min(affordable))

    def _stream(self, viewer: ViewerRate, affords_bps: int, target_bps: int, now: float) -> StreamName:
        inclination = self._inclined[viewer.key]
        weak = viewer.stream == "main" and affords_bps < DOWN * target_bps
        strong = viewer.stream == "sub" and affords_bps * UP >= target_bps and affords_bps >= self._main_min_bps
        if not (weak or strong):
            inclination.since = None
            return viewer.stream
        if inclination.since is None:
            inclination.since = now
        at_once = weak and affords_bps < target_bps / 2
        patience_s = 0.0 if at_once else SOON_S if weak else LATE_S
        if now - inclination.since < patience_s or now - inclination.moved_at < DWELL_S:
            return viewer.stream
        inclination.since, inclination.moved_at = None, now
        return "sub" if weak else "main"

    def _moved(self, old_bps: int, wanted_bps: int, low_bps: int, high_bps: int) -> int:
        """Go down at once and up in steps, within the bounds; what is hardly a change is none."""
        wanted_bps = max(low_bps, min(high_bps, wanted_bps, int(old_bps * _RISE)))
        if abs(wanted_bps - old_bps) < _STEP * old_bps and wanted_bps not in {low_bps, high_bps}:
            return old_bps
        return wanted_bps

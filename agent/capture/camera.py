"""The camera as the daemon sees it: it sleeps until it is watched, and comes back after a fault."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
import time
from collections.abc import Callable, Mapping
from typing import Any, Literal

from agent.capture.camera_controls import Range, asleep
from agent.capture.run import Run
from agent.capture.source import HungCaptureError, PermanentCaptureError, Source, TemporaryCaptureError
from agent.config import CameraConfig
from agent.media.access_unit import AccessUnit, StreamName
from agent.media.stream import Stream
from agent.media.timeline import Timeline

log = logging.getLogger(__name__)

State = Literal["asleep", "starting", "streaming", "waiting", "privacy"]

STOP_S = 5.0
"""A source that is still running so long after its stop hangs in a driver; only a new process helps."""

PERMANENT_S = 300.0
"""Some IP cameras lock out who shows a wrong login a few times."""

_BACKOFF_S = 1.0
_LONGEST_BACKOFF_S = 30.0


class Camera:
    """Runs a source while somebody watches, and publishes what it gives on `streams`.

    `make` makes a source and says which and why; it is called on the source's thread, once a run.
    All else is called on the loop. `on_state` hears every change of `state`; in "waiting", `fault` says why the
    camera does not run.
    """

    def __init__(
        self,
        config: CameraConfig,
        make: Callable[[], tuple[Source, str]],
        streams: Mapping[StreamName, Stream],
        *,
        is_only: bool = True,
        on_state: Callable[[State], None] = lambda state: None,
        title: str = "camera",
    ) -> None:
        self.state: State = "asleep"
        self.fault: str | None = None
        self.about: str | None = None
        self.name: str | None = None
        self.last_frame_at: float | None = None
        self._config = config
        self._make = make
        self._streams = streams
        self._timeline = Timeline()
        self._is_only = is_only
        self._on_state = on_state
        self._title = title  # what the log calls it
        self._changed = asyncio.Event()
        self._run: Run | None = None
        self._dropped = 0
        self._bitrates: dict[StreamName, int] = {}
        self._sub_wanted = False
        self._viewers = 0
        self._left_at: float | None = None
        self._closed = False
        self._failures = 0
        self._plugged_in = False
        self._told: str | None = None  # the fault that was logged last

    @property
    def dropped(self) -> int:
        """Count the access units that a loop too far behind made us drop."""
        return self._dropped + (self._run.dropped if self._run else 0)

    async def run(self) -> None:
        """Serve until cancelled. Errors: PermanentCaptureError, and whatever a source breaks with.

        Beside other cameras, one with a permanent fault is tried again after PERMANENT_S, and is not the others' end.
        """
        try:
            while True:
                await self._until_wanted()
                try:
                    await self._run_once()
                except TemporaryCaptureError as error:
                    self._change("waiting", str(error))
                    await self._back_off()
                except PermanentCaptureError as error:
                    if self._is_only or isinstance(error, HungCaptureError):
                        raise
                    self._change("waiting", str(error))
                    await self._pause(PERMANENT_S)
        finally:
            self._change("asleep")

    def demand(self, viewers: int) -> None:
        """Take note of how many watch: the first one starts the camera, the last one's leaving the linger."""
        if self._viewers and not viewers:
            self._left_at = time.monotonic()
        self._viewers = viewers
        self._changed.set()

    def set_privacy(self, closed: bool) -> None:
        """Close the camera, whoever watches, or open it again. Nothing is published from this call on.

        The state becomes "privacy" when the source has really ended.
        """
        self._closed = closed
        if closed and self._run is not None:
            self._run.stop()
        self._changed.set()

    def plugged_in(self) -> None:
        """Try again now: a camera has been plugged in, perhaps the one that is waited for."""
        self._failures = 0
        self._plugged_in = True
        self._changed.set()

    @property
    def has_sub(self) -> bool:
        """Say whether the source that runs has a second, smaller encode."""
        return self._run is not None and self._run.has_sub

    def request_keyframe(self, stream: StreamName = "main") -> None:
        """Ask the source that runs, if one does."""
        if self._run is not None:
            self._run.request_keyframe(stream)

    def set_bitrate(self, bitrate_bps: int, stream: StreamName = "main") -> None:
        """Aim at `bitrate_bps`, in this run and in those to come."""
        if bitrate_bps != self._bitrates.get(stream):
            self._bitrates[stream] = bitrate_bps
            if self._run is not None:
                self._run.set_bitrate(bitrate_bps, stream)

    def want_sub(self, wanted: bool) -> None:
        """Have the second encode or not, in this run and in those to come."""
        if wanted != self._sub_wanted:
            self._sub_wanted = wanted
            if self._run is not None:
                self._run.want_sub(wanted)

    def ranges(self) -> dict[str, Range]:
        """Say of each setting that can change now what it may be: nothing while no camera runs that takes changes."""
        return self._run.ranges() if self._run is not None else {}

    def set_control(self, setting: str, value: Any) -> None:
        """Change a setting for the rest of this run: the next begins as configured. Errors: UnfitControl."""
        if self._run is None:
            raise asleep(setting)
        self._run.set_control(setting, value)

    async def _until_wanted(self) -> None:
        while self._wanted_s() == 0:
            self._change("privacy" if self._closed else "asleep")
            await self._until_changed(None)

    async def _run_once(self) -> None:
        self._change("starting")
        self._timeline.restarted()
        run = self._run = Run(
            self._make, self._publish, self._changed.set, bitrates=self._bitrates, sub_wanted=self._sub_wanted
        )
        by_itself = False
        try:
            while not run.ended and (wanted_s := self._wanted_s()) != 0:
                await self._until_changed(wanted_s)
            by_itself = run.ended and not run.stopped
        finally:
            run.stop()
            ended = await run.wait_ended(STOP_S)
            self._dropped += run.dropped
            self._run = None
        if not ended:
            raise HungCaptureError(f"{run.about} did not stop within {STOP_S:g} s; start the agent again")
        if run.error is not None and (by_itself or not isinstance(run.error, TemporaryCaptureError)):
            raise run.error
        if by_itself:
            raise TemporaryCaptureError(f"{run.about} ended by itself")

    async def _back_off(self) -> None:
        self._failures += 1
        longest_s = min(_LONGEST_BACKOFF_S, _BACKOFF_S * 2 ** (self._failures - 1))
        spread = random.uniform(0.5, 1)  # noqa: S311 - spreads tries, keeps no secret
        await self._pause(longest_s * spread, lambda: self._wanted_s() != 0)

    async def _pause(self, pause_s: float, goes_on: Callable[[], bool] = lambda: True) -> None:
        """Wait so long, unless a camera is plugged in, and while `goes_on`: by itself whoever comes and goes."""
        until = time.monotonic() + pause_s
        while not self._plugged_in and goes_on() and (left_s := until - time.monotonic()) > 0:
            await self._until_changed(left_s)
        self._plugged_in = False

    async def _until_changed(self, within_s: float | None) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(within_s):
                await self._changed.wait()
        self._changed.clear()

    def _wanted_s(self) -> float | None:
        """Say how long the camera is still wanted: 0 for not at all, None for without an end in sight."""
        if self._closed:
            return 0
        if self._viewers or self._config.always_on:
            return None
        if self._left_at is None:
            return 0
        return max(0.0, self._left_at + self._config.linger_s - time.monotonic())

    def _publish(self, unit: AccessUnit) -> None:
        self.last_frame_at = time.monotonic()
        if self.state != "streaming" and self._run is not None:
            self._failures = 0
            self.about, self.name = self._run.about, self._run.name
            self._change("streaming")
        unit = self._timeline.rebased(unit, self.last_frame_at)
        self._streams[unit.stream].publish(unit, self.last_frame_at)

    def _change(self, state: State, fault: str | None = None) -> None:
        if (state, fault) == (self.state, self.fault):
            return
        self.state, self.fault = state, fault
        if fault is not None:
            if fault != self._told:
                log.warning("%s %s: %s", self._title, state, fault)
            self._told = fault
        elif state == "streaming":
            self._told = None
            log.info("%s %s: %s", self._title, state, self.about)
        elif self._failures == 0:  # a new try after a fault is not worth a word before it succeeds
            log.info("%s %s", self._title, state)
        self._on_state(state)

"""One run of a source: its thread, and the hop of its access units to the event loop."""

from __future__ import annotations

import asyncio
import contextlib
import os
import threading
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any

from agent.capture.camera_controls import Range, UnfitControl, asleep
from agent.capture.source import Adjustable, CaptureError, Source
from agent.media.access_unit import AccessUnit, StreamName

BOUND = 30
"""Access units on their way to the loop: a second at 30 fps. A loop that is further behind has lost anyway."""


class Run:
    """Makes a source and runs it on a daemon thread named "camera"; `deliver` gets its units on the loop.

    Drop rule: when BOUND units wait for the loop, the next ones are dropped and counted, up to a keyframe of
    their stream that finds room; the source is asked for it when there is some. After `stop` nothing is
    delivered, not even what was on its way.
    """

    def __init__(
        self,
        make: Callable[[], tuple[Source, str]],
        deliver: Callable[[AccessUnit], None],
        on_end: Callable[[], None],
        *,
        bitrates: Mapping[StreamName, int],
        sub_wanted: bool,
    ) -> None:
        self.about = "the camera"
        self.dropped = 0
        self.error: BaseException | None = None
        self.stopped = False
        self._make = make
        self._deliver = deliver
        self._on_end = on_end
        self._bitrates = dict(bitrates)
        self._sub_wanted = sub_wanted
        self._source: Source | None = None
        self._ended = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self._worker = threading.Thread(target=self._body, name="camera", daemon=True)
        # An event of our own: call_soon_threadsafe makes a handle and runs two callbacks, once a picture.
        self._on_the_way: deque[AccessUnit] = deque()
        self._event = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self._loop.add_reader(self._event, self._take)
        self._without_keyframe = set[StreamName]()
        self._unasked = set[StreamName]()
        self._worker.start()

    @property
    def ended(self) -> bool:
        """Say whether the source has closed all it opened; `error` then holds why it ended, if it failed."""
        return self._ended.is_set()

    def stop(self) -> None:
        """End the run soon, without waiting for it."""
        self.stopped = True
        if self._source is not None:
            self._source.stop()

    async def wait_ended(self, within_s: float) -> bool:
        """Wait for the thread's end; False when it did not come in time."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._ended.wait(), within_s)
            self._worker.join()  # nothing is left to it but to return
        return self.ended

    @property
    def name(self) -> str | None:
        """Say what the source is, once it is made; while it runs, with what it was granted."""
        return self._source.name if self._source is not None else None

    @property
    def has_sub(self) -> bool:
        """Say whether the source, once made, has a second encode."""
        return self._source is not None and self._source.has_sub

    def request_keyframe(self, stream: StreamName) -> None:
        """Ask the source; one that is only being made begins with a keyframe by itself."""
        if self._source is not None:
            self._source.request_keyframe(stream)

    def set_bitrate(self, bitrate_bps: int, stream: StreamName) -> None:
        """Tell the source, now or as soon as it is made."""
        self._bitrates[stream] = bitrate_bps
        if self._source is not None:
            self._source.set_bitrate(bitrate_bps, stream)

    def want_sub(self, wanted: bool) -> None:
        """Tell the source, now or as soon as it is made."""
        self._sub_wanted = wanted
        if self._source is not None:
            self._source.want_sub(wanted)

    def ranges(self) -> dict[str, Range]:
        """Ask the source, if it is one whose settings can change."""
        return self._source.ranges() if isinstance(self._source, Adjustable) else {}

    def set_control(self, setting: str, value: Any) -> None:
        """Tell the source. Errors: UnfitControl."""
        if self._source is None:
            raise asleep(setting)
        if not isinstance(self._source, Adjustable):
            raise UnfitControl(f"camera.{setting} cannot be set: this kind of camera takes no changes while it runs")
        self._source.set_control(setting, value)

    def _body(self) -> None:
        try:
            self._source, self.about = self._make()
            for stream, bitrate_bps in tuple(self._bitrates.items()):
                self._source.set_bitrate(bitrate_bps, stream)
            self._source.want_sub(self._sub_wanted)
            # `stop` looks at _source after setting its flag, so that one of the two sides sees the other.
            if not self.stopped:
                self._source.run(self._emit)
        except CaptureError as error:
            # Its message says all. Its traceback would keep the source, with its encoders, until a full collection.
            error.__cause__ = error.__context__ = None
            self.error = error.with_traceback(None)
        except BaseException as error:  # noqa: BLE001 - whoever waits for the end raises it on the loop
            self.error = error
        with contextlib.suppress(RuntimeError):  # the loop is closed, and with it everything that listened
            self._loop.call_soon_threadsafe(self._finish)

    def _emit(self, unit: AccessUnit) -> None:
        if len(self._on_the_way) >= BOUND:
            self.dropped += 1
            self._without_keyframe.add(unit.stream)
            self._unasked.add(unit.stream)
        elif unit.stream in self._without_keyframe and not unit.keyframe:
            self.dropped += 1
            if unit.stream in self._unasked:  # only now: one made while there is no room would be made for nothing
                self._unasked.discard(unit.stream)
                self.request_keyframe(unit.stream)
        else:
            self._without_keyframe.discard(unit.stream)
            self._on_the_way.append(unit)
            os.eventfd_write(self._event, 1)

    def _take(self) -> None:
        os.eventfd_read(self._event)
        self._deliver_all()

    def _deliver_all(self) -> None:
        while self._on_the_way:
            unit = self._on_the_way.popleft()
            if not self.stopped:
                self._deliver(unit)

    def _finish(self) -> None:
        self._loop.remove_reader(self._event)
        os.close(self._event)
        try:
            self._deliver_all()
        finally:  # whoever takes a picture may break, and the run has ended all the same
            self._source = None
            self._ended.set()
            self._on_end()

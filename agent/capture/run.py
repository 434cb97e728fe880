"""One run of a source: its thread, and the hop of its access units to the event loop."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable

from agent.capture.source import Source
from agent.media.access_unit import AccessUnit

BOUND = 30
"""Access units on their way to the loop: a second at 30 fps. A loop that is further behind has lost anyway."""


class Run:
    """Makes a source and runs it on a daemon thread named "camera"; `deliver` gets its units on the loop.

    Drop rule: when BOUND units wait for the loop, the next ones are dropped and counted up to a keyframe that
    finds room; the source is asked for it when there is some. After `stop` nothing is delivered, not even what
    was on its way.
    """

    def __init__(
        self,
        make: Callable[[], tuple[Source, str]],
        deliver: Callable[[AccessUnit], None],
        on_end: Callable[[], None],
        *,
        bitrate_bps: int | None,
    ) -> None:
        self.about = "the camera"
        self.name: str | None = None
        self.dropped = 0
        self.error: BaseException | None = None
        self.stopped = False
        self._make = make
        self._deliver = deliver
        self._on_end = on_end
        self._bitrate_bps = bitrate_bps
        self._source: Source | None = None
        self._ended = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self._thread = threading.Thread(target=self._body, name="camera", daemon=True)
        # Each is written on one side alone; the difference is what is on its way.
        self._posted = self._taken = 0
        self._waits_for_keyframe = self._keyframe_unasked = False
        self._thread.start()

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
            self._thread.join()  # nothing is left to it but to return
        return self.ended

    def request_keyframe(self) -> None:
        """Ask the source; one that is only being made begins with a keyframe by itself."""
        if self._source is not None:
            self._source.request_keyframe()

    def set_bitrate(self, bitrate_bps: int) -> None:
        """Tell the source, now or as soon as it is made."""
        self._bitrate_bps = bitrate_bps
        if self._source is not None:
            self._source.set_bitrate(bitrate_bps)

    def _body(self) -> None:
        try:
            self._source, self.about = self._make()
            self.name = self._source.name
            if self._bitrate_bps is not None:
                self._source.set_bitrate(self._bitrate_bps)
            # `stop` looks at _source after setting its flag, so that one of the two sides sees the other.
            if not self.stopped:
                self._source.run(self._emit)
        except BaseException as error:  # noqa: BLE001 - whoever waits for the end raises it on the loop
            self.error = error
        self._call(self._finish)

    def _emit(self, unit: AccessUnit) -> None:
        if self._posted - self._taken >= BOUND:
            self.dropped += 1
            self._waits_for_keyframe = self._keyframe_unasked = True
        elif self._waits_for_keyframe and not unit.keyframe:
            self.dropped += 1
            if self._keyframe_unasked:  # only now: one made while there is no room would be made for nothing
                self._keyframe_unasked = False
                self.request_keyframe()
        else:
            self._waits_for_keyframe = False
            self._posted += 1
            self._call(self._take, unit)

    def _take(self, unit: AccessUnit) -> None:
        self._taken += 1
        if not self.stopped:
            self._deliver(unit)

    def _finish(self) -> None:
        self._ended.set()
        self._on_end()

    def _call(self, callback: Callable[..., None], *arguments: object) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed, and with it everything that listened
            self._loop.call_soon_threadsafe(callback, *arguments)

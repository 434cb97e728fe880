"""Runs a Source on a thread of its own and lets a test wait for what it emits."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import av

from agent.capture.source import Source
from agent.media.access_unit import AccessUnit


class Watch:
    """What a source emitted so far, with the monotonic time of each unit, and how its run ended."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self.units: list[AccessUnit] = []
        self.times: list[float] = []
        self.error: BaseException | None = None
        self._news = threading.Condition()
        self.thread = threading.Thread(target=self._body, name="watched source")

    def wait(self, reached: Callable[[list[AccessUnit]], bool], within_s: float = 15.0) -> list[AccessUnit]:
        """Wait until the units satisfy `reached`, and return those of that moment."""
        with self._news:
            came = self._news.wait_for(lambda: reached(self.units) or not self.thread.is_alive(), within_s)
            assert came, f"{len(self.units)} units within {within_s} s"
            if self.error is not None:
                raise self.error
            assert reached(self.units), f"the run ended after {len(self.units)} units"
            return list(self.units)

    def ended(self, within_s: float) -> bool:
        """Wait for the end of the run."""
        self.thread.join(within_s)
        return not self.thread.is_alive()

    def _body(self) -> None:
        try:
            self.source.run(self._emit)
        except BaseException as error:  # noqa: BLE001 - the test raises it
            self.error = error
        with self._news:
            self._news.notify_all()

    def _emit(self, unit: AccessUnit) -> None:
        with self._news:
            self.units.append(unit)
            self.times.append(time.monotonic())
            self._news.notify_all()


@contextmanager
def watched(source: Source) -> Iterator[Watch]:
    """Run `source` while the block lasts."""
    watch = Watch(source)
    watch.thread.start()
    try:
        yield watch
    finally:
        source.stop()
        assert watch.ended(5)


def decoded(units: list[AccessUnit]) -> list[av.VideoFrame]:
    """Decode access units the way a viewer does, from nothing but their bytes."""
    decoder = av.CodecContext.create("h264", "r")
    decoder.thread_count = 1
    frames: list[av.VideoFrame] = []
    for unit in units:
        frames += decoder.decode(av.Packet(unit.data))
    return frames + decoder.decode(None)

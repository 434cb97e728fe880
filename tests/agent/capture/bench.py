"""A Camera on scripted sources, for tests to watch."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from agent.capture.camera import Camera, State
from agent.capture.source import Source
from agent.config import CameraConfig
from agent.media.stream import Stream
from tests.agent.capture.scripted import Emit, Scripted
from tests.kit.onlooker import Onlooker

Act = Callable[[Scripted, Emit], None]


class Bench:
    """A camera on scripted sources, one act a run and the last for all later ones, with its stream and states."""

    def __init__(self, *acts: Act, config: CameraConfig, is_only: bool = True, kind: type[Scripted] = Scripted) -> None:
        self.sources: list[Scripted] = []
        self.states: list[tuple[State, str | None]] = []
        self.news = asyncio.Event()
        self._acts = acts or (Scripted.steady,)
        self._kind = kind
        self.stream = Stream(ask=lambda: self.camera.request_keyframe())
        self.camera = Camera(config, self._make, {"main": self.stream}, is_only=is_only, on_state=self._note)

    def watch(self) -> Onlooker:
        onlooker = Onlooker(self.news.set)
        self.stream.subscribe(onlooker, time.monotonic())
        self.camera.demand(self.stream.viewers)
        return onlooker

    def leave(self, onlooker: Onlooker) -> None:
        self.stream.unsubscribe(onlooker)
        self.camera.demand(self.stream.viewers)

    async def state(self, state: State, within_s: float = 15.0) -> None:
        await self.until(lambda: self.camera.state == state, within_s)

    async def until(self, reached: Callable[[], bool], within_s: float = 15.0) -> None:
        async with asyncio.timeout(within_s):
            while not reached():
                self.news.clear()
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self.news.wait(), 0.02)

    async def pictures(self, onlooker: Onlooker, count: int, within_s: float = 15.0) -> list[int]:
        seen: list[int] = []
        async with asyncio.timeout(within_s):
            while len(seen) < count:
                self.news.clear()
                seen += [unit.pts_us for unit in iter(onlooker.pop, None)]
                if len(seen) < count:
                    await self.news.wait()
        return seen

    def _make(self) -> tuple[Source, str]:
        source = self._kind(self._acts[min(len(self.sources), len(self._acts) - 1)])
        self.sources.append(source)
        return source, "scripted: for a test"

    def _note(self, state: State) -> None:
        self.states.append((state, self.camera.fault))
        self.news.set()


def fails(error: BaseException) -> Act:
    def act(source: Scripted, emit: Emit) -> None:
        raise error

    return act


def shows(count: int, then: BaseException | None = None) -> Act:
    def act(source: Scripted, emit: Emit) -> None:
        for _ in range(count):
            emit(source.picture())
        if then is not None:
            raise then

    return act


@asynccontextmanager
async def running(
    *acts: Act,
    linger_s: float = 0.1,
    always_on: bool = False,
    is_only: bool = True,
    kind: type[Scripted] = Scripted,
) -> AsyncIterator[tuple[Bench, asyncio.Task[None]]]:
    bench = Bench(*acts, config=CameraConfig(linger_s=linger_s, always_on=always_on), is_only=is_only, kind=kind)
    task = asyncio.create_task(bench.camera.run(), name="camera")
    try:
        yield bench, task
    finally:
        task.cancel()
        await asyncio.wait({task})
        assert "camera" not in [thread.name for thread in threading.enumerate()]

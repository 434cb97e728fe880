from __future__ import annotations

import asyncio
import threading

from agent.capture.run import BOUND, Run
from agent.media.access_unit import AccessUnit, StreamName
from tests.agent.capture.scripted import Emit, Scripted


async def test_each_stream_waits_for_a_keyframe_of_its_own_after_a_loop_that_was_far_behind() -> None:
    flooded, again = threading.Event(), threading.Event()
    asked: list[StreamName] = []
    delivered: list[AccessUnit] = []
    ended = asyncio.Event()

    class TwoStreams(Scripted):
        def request_keyframe(self, stream: StreamName = "main") -> None:
            asked.append(stream)

    def act(source: Scripted, emit: Emit) -> None:
        keyframe = source.picture()
        main = AccessUnit(units=keyframe.units, pts_us=keyframe.pts_us, keyframe=False)
        sub = main.of("sub")
        for _ in range(BOUND // 2 + 1):
            emit(main)
            emit(sub)
        flooded.set()
        again.wait(5)
        # There is room again: each asks once, and goes on with its own keyframe alone.
        for unit in (main, sub, keyframe, main, sub, keyframe.of("sub"), sub):
            emit(unit)

    run = Run(lambda: (TwoStreams(act), "two"), delivered.append, ended.set, bitrates={}, sub_wanted=True)
    assert flooded.wait(5)  # the loop stands still right here
    await asyncio.sleep(0.05)
    assert len(delivered) == BOUND
    again.set()
    assert await run.wait_ended(5)

    assert [(unit.stream, unit.keyframe) for unit in delivered[BOUND:]] == [
        ("main", True),
        ("main", False),
        ("sub", True),
        ("sub", False),
    ]
    assert asked == ["main", "sub"]
    assert run.dropped == 2 + 3

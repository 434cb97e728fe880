"""The two encodes of one picture, without a clock: what goes in and what comes out."""

from __future__ import annotations

import dataclasses

from agent.capture.encoders import Encoders
from agent.config import CameraConfig
from agent.media.access_unit import AccessUnit, StreamName
from tests.agent.capture.test_encoder import Restless
from tests.agent.capture.watching import decoded

CONFIG = CameraConfig(
    width=640, height=360, fps=30, bitrate_bps=1_000_000, sub_bitrate_bps=300_000, keyframe_interval_s=60
)


class Pair:
    """Both encodes of a restless picture, and all that they gave."""

    def __init__(self, config: CameraConfig = CONFIG) -> None:
        self.encoders = Encoders(config)
        self.units: list[AccessUnit] = []
        self._picture = Restless()
        self._index = 0

    def show(self, count: int) -> None:
        for _ in range(count):
            self.units += self.encoders.encode(self._picture.next(), self._index * 1_000_000 // 30)
            self._index += 1

    def of(self, stream: StreamName) -> list[AccessUnit]:
        return [unit for unit in self.units if unit.stream == stream]


def _bps(units: list[AccessUnit]) -> float:
    return sum(len(unit.data) for unit in units) * 8 * 30 / len(units)


def test_the_main_stream_has_every_picture_however_often_the_sub_stream_comes_and_goes() -> None:
    pair = Pair()
    for wanted in (False, True, False, True, True, False):
        pair.encoders.want_sub(wanted)
        pair.show(5)

    main, sub = pair.of("main"), pair.of("sub")
    assert [unit.pts_us for unit in main] == [index * 1_000_000 // 30 for index in range(30)]
    assert [unit.keyframe for unit in main] == [True] + [False] * 29
    assert [unit.pts_us for unit in sub] == [main[index].pts_us for index in [*range(5, 10), *range(15, 25)]]
    assert [index for index, unit in enumerate(sub) if unit.keyframe] == [0, 5]
    assert [(frame.width, frame.height) for frame in decoded(sub)] == [(320, 180)] * 15


def test_each_stream_keeps_to_its_own_bitrate_and_a_change_of_one_costs_no_keyframe() -> None:
    pair = Pair()
    pair.encoders.want_sub(True)
    pair.show(60)
    pair.encoders.set_bitrate(120_000, "sub")
    pair.show(30)
    pair.encoders.set_bitrate(500_000)
    pair.show(90)

    main, sub = pair.of("main"), pair.of("sub")
    assert 850_000 < _bps(main[30:90]) < 1_150_000
    assert 400_000 < _bps(main[120:]) < 600_000
    assert 240_000 < _bps(sub[15:60]) < 360_000
    assert 90_000 < _bps(sub[90:]) < 150_000
    assert [sum(unit.keyframe for unit in units) for units in (main, sub)] == [1, 1]


def test_a_sub_stream_that_begins_at_a_low_bitrate_goes_up_to_its_own_without_another_keyframe() -> None:
    pair = Pair()
    pair.encoders.set_bitrate(100_000, "sub")
    pair.encoders.want_sub(True)
    pair.show(30)
    for bitrate_bps in (150_000, 220_000, 300_000):
        pair.encoders.set_bitrate(bitrate_bps, "sub")
        pair.show(20)

    sub = pair.of("sub")
    assert len(sub[0].data) * 8 <= 100_000 / 4
    assert [unit.keyframe for unit in sub] == [True] + [False] * 89


def test_a_keyframe_is_asked_of_one_stream() -> None:
    pair = Pair()
    pair.encoders.want_sub(True)
    pair.show(5)
    pair.encoders.request_keyframe("sub")
    pair.show(1)
    pair.encoders.request_keyframe("main")
    pair.show(1)

    assert [unit.keyframe for unit in pair.of("sub")] == [True, False, False, False, False, True, False]
    assert [unit.keyframe for unit in pair.of("main")] == [True, False, False, False, False, False, True]


def test_without_a_bitrate_for_it_there_is_no_sub_stream() -> None:
    pair = Pair(dataclasses.replace(CONFIG, sub_bitrate_bps=0))
    pair.encoders.want_sub(True)
    pair.show(3)

    assert not pair.encoders.has_sub
    assert pair.of("sub") == []

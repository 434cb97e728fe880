from __future__ import annotations

import pytest

from agent.media.access_unit import AccessUnit
from agent.media.feed import BOUND, Feed
from agent.media.packetize import Packetized
from agent.media.stream import KEYFRAME_QUIET_S, Stream
from tests.kit.onlooker import Onlooker


class Encoder:
    """What a stream asks for, written down."""

    def __init__(self) -> None:
        self.asked = 0
        self.stream = Stream(ask=self._ask)

    def _ask(self) -> None:
        self.asked += 1

    def watch(self, now: float, cause: str = "join") -> Onlooker:
        onlooker = Onlooker()
        self.stream.subscribe(onlooker, now, cause=cause)
        return onlooker


class Keeper:
    """A viewer who keeps what it was handed, packets and all."""

    def __init__(self) -> None:
        self.taken: list[Packetized] = []

    def take(self, packetized: Packetized, now: float) -> bool:
        self.taken.append(packetized)
        return False


class Queue:
    """A viewer who takes nothing yet."""

    def __init__(self) -> None:
        self.feed = Feed()

    def take(self, packetized: Packetized, now: float) -> bool:
        return self.feed.push(packetized)


def _unit(pts_us: int, *, keyframe: bool = False) -> AccessUnit:
    return AccessUnit(units=(b"\x41",), pts_us=pts_us, keyframe=keyframe)


def _seen(onlooker: Onlooker) -> list[int]:
    return [unit.pts_us for unit in iter(onlooker.pop, None)]


def test_timestamps_are_90_khz_from_an_origin_on_and_the_same_for_all_viewers() -> None:
    stream, one, two = Stream(ask=lambda: None, origin=0xFFFF_FFFF), Keeper(), Keeper()
    for viewer in (one, two):
        stream.subscribe(viewer, 0.0)

    for pts_us in (0, 1_000_000):
        stream.publish(_unit(pts_us), pts_us / 1e6)

    assert [packetized.timestamp for packetized in one.taken] == [0xFFFF_FFFF, 89_999]
    assert two.taken == one.taken


def test_it_says_when_a_picture_has_been_handed_to_everyone() -> None:
    viewer, had = Keeper(), list[int]()
    stream = Stream(ask=lambda: None, sent=lambda: had.append(len(viewer.taken)))
    stream.publish(_unit(0), 0.0)
    stream.subscribe(viewer, 0.0)

    stream.publish(_unit(33_333), 0.033)

    assert had == [1]  # with nobody there, nothing was handed to anyone


def test_every_viewer_gets_every_picture_until_it_leaves() -> None:
    encoder = Encoder()
    one, two = encoder.watch(0.0), encoder.watch(0.0)

    encoder.stream.publish(_unit(0, keyframe=True), 0.0)
    encoder.stream.unsubscribe(one)
    encoder.stream.unsubscribe(one)
    encoder.stream.publish(_unit(1), 0.03)

    assert _seen(one) == [0]
    assert _seen(two) == [0, 1]
    assert encoder.stream.viewers == 1


def test_a_picture_is_cut_into_packets_once_for_all_viewers() -> None:
    encoder, keeper = Encoder(), Keeper()
    for _ in range(3):
        encoder.stream.subscribe(keeper, 0.0)

    encoder.stream.publish(_unit(0, keyframe=True), 0.0)

    first, second, third = keeper.taken
    assert first is second is third


def test_however_many_ask_the_encoder_is_asked_once_in_the_quiet_time() -> None:
    encoder = Encoder()
    for _ in range(10):
        encoder.stream.request_keyframe("pli", 1.0)

    assert encoder.asked == encoder.stream.keyframes_asked == 1
    assert encoder.stream.keyframe_causes == {"pli": 10}


def test_a_request_in_the_quiet_time_goes_out_after_it() -> None:
    encoder = Encoder()
    encoder.watch(1.0)
    encoder.stream.publish(_unit(0, keyframe=True), 1.1)
    encoder.stream.request_keyframe("pli", 1.2)

    encoder.stream.publish(_unit(1), 1.0 + KEYFRAME_QUIET_S - 0.01)
    assert encoder.asked == 1
    encoder.stream.publish(_unit(2), 1.0 + KEYFRAME_QUIET_S)
    encoder.stream.publish(_unit(3), 3.0)
    assert encoder.asked == 2


def test_a_keyframe_that_comes_in_the_quiet_time_answers_the_remembered_request() -> None:
    encoder = Encoder()
    encoder.watch(1.0)
    encoder.stream.request_keyframe("pli", 1.1)

    encoder.stream.publish(_unit(0, keyframe=True), 1.2)
    encoder.stream.publish(_unit(1), 2.0)

    assert encoder.asked == 1


def test_who_joins_just_after_a_keyframe_is_served_from_what_came_since() -> None:
    encoder = Encoder()
    first = encoder.watch(1.0)
    for index in range(5):
        encoder.stream.publish(_unit(index, keyframe=index == 0), 1.0 + index / 30)

    late = encoder.watch(1.2)
    encoder.stream.publish(_unit(5), 1.2)

    assert _seen(first) == _seen(late) == [0, 1, 2, 3, 4, 5]
    assert encoder.asked == 1


def test_who_joins_later_gets_a_keyframe_of_its_own() -> None:
    encoder = Encoder()
    encoder.watch(1.0)
    for index in range(40):
        encoder.stream.publish(_unit(index, keyframe=index == 0), 1.0 + index / 30)

    late = encoder.watch(2.4)

    assert _seen(late) == []
    assert encoder.asked == 2
    assert encoder.stream.keyframe_causes == {"join": 2}


def test_who_joins_a_stream_that_nobody_watched_gets_a_keyframe_of_its_own() -> None:
    encoder = Encoder()
    encoder.stream.publish(_unit(0, keyframe=True), 1.0)

    late = encoder.watch(1.1)

    assert _seen(late) == []
    assert encoder.asked == 1


def test_who_cannot_take_all_that_came_since_the_keyframe_gets_one_of_its_own() -> None:
    encoder = Encoder()
    encoder.watch(1.0)
    for index in range(BOUND + 1):  # of a camera with more than sixty pictures a second
        encoder.stream.publish(_unit(index, keyframe=index == 0), 1.0 + index / 120)

    queue = Queue()
    encoder.stream.subscribe(queue, 1.3)
    encoder.stream.publish(_unit(100), 1.0 + KEYFRAME_QUIET_S)

    assert queue.feed.pop() is None
    assert encoder.stream.keyframe_causes == {"join": 1, "overflow": 1}
    assert encoder.asked == 2


def test_who_comes_from_another_stream_is_not_shown_the_past() -> None:
    encoder = Encoder()
    encoder.watch(1.0)
    encoder.stream.publish(_unit(0, keyframe=True), 2.0)

    other = encoder.watch(2.1, cause="switch")

    assert _seen(other) == []
    assert encoder.asked == 2
    assert encoder.stream.keyframe_causes == {"join": 1, "switch": 1}


def test_a_viewer_that_overflows_costs_one_request_and_leaves_the_others_alone() -> None:
    class Slow:
        def take(self, packetized: Packetized, now: float) -> bool:
            return packetized.unit.pts_us >= 3

    encoder = Encoder()
    encoder.stream.subscribe(Slow(), 0.0)
    quick = encoder.watch(0.0)
    for index in range(5):
        encoder.stream.publish(_unit(index, keyframe=index == 0), 1.0 + index / 30)

    assert encoder.asked == 2  # the first join, and both overflows together
    assert encoder.stream.keyframe_causes["overflow"] == 2
    assert _seen(quick) == [0, 1, 2, 3, 4]


def test_a_picture_carries_the_time_it_was_taken_and_the_time_it_came() -> None:
    encoder, keeper = Encoder(), Keeper()
    encoder.stream.subscribe(keeper, 10.0)
    for index, late_s in enumerate([0.0, 0.0, 0.05, 0.0]):
        encoder.stream.publish(_unit(index * 100_000, keyframe=True), 10.0 + index / 10 + late_s)

    assert [packetized.published_at for packetized in keeper.taken] == pytest.approx([10.0, 10.1, 10.25, 10.3])
    assert [packetized.captured_at for packetized in keeper.taken] == pytest.approx([10.0, 10.1, 10.2, 10.3], abs=1e-3)

from __future__ import annotations

from agent.media.access_unit import AccessUnit
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


def _unit(pts_us: int, *, keyframe: bool = False) -> AccessUnit:
    return AccessUnit(data=b"\x00\x00\x00\x01\x41", pts_us=pts_us, keyframe=keyframe)


def _seen(onlooker: Onlooker) -> list[int]:
    return [unit.pts_us for unit in iter(onlooker.pop, None)]


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
    taken: list[Packetized] = []

    class Keeper:
        def take(self, packetized: Packetized, now: float) -> bool:
            taken.append(packetized)
            return False

    encoder = Encoder()
    for _ in range(3):
        encoder.stream.subscribe(Keeper(), 0.0)

    encoder.stream.publish(_unit(0, keyframe=True), 0.0)

    assert taken[0] is taken[1] is taken[2]


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

"""RTP packets to access units: in order, complete, and only what can be decoded."""

from __future__ import annotations

import itertools
from fractions import Fraction

from tests.viewer.conftest import pictures
from viewer.reassembly import ASK_EVERY_S, MOST_WAITING, PATIENCE_S, Packet, Reassembly, Unit

UNITS = pictures(Fraction(30), 12, keyint=4)


def packets(units: list[Unit], *, first: int = 100, size: int = 100, offset: int = 0) -> list[list[Packet]]:
    """Cut units into packets, as a list for each unit; numbers and times wrap."""
    sequence = itertools.count(first)
    return [
        [
            Packet(
                sequence=next(sequence) & 0xFFFF,
                timestamp=(unit.ticks + offset) & 0xFFFFFFFF,
                marker=at + size >= len(unit.data),
                data=unit.data[at : at + size],
            )
            for at in range(0, len(unit.data), size)
        ]
        for unit in units
    ]


def flat(cut: list[list[Packet]]) -> list[Packet]:
    return list(itertools.chain.from_iterable(cut))


def feed(reassembly: Reassembly, given: list[Packet], now: float = 0.0) -> list[Unit]:
    return [unit for packet in given for unit in reassembly.add(packet, now)]


def test_what_was_sent_arrives_byte_for_byte() -> None:
    assert feed(Reassembly(), flat(packets(UNITS))) == UNITS


def test_numbers_and_times_that_wrap_make_no_difference() -> None:
    assert feed(Reassembly(), flat(packets(UNITS, first=0xFFFC, offset=0xFFFFFFFF - 5000))) == UNITS


def test_packets_in_another_order_and_twice_make_no_difference() -> None:
    first, *rest = flat(packets(UNITS))
    swapped = itertools.chain.from_iterable(zip(rest[1::2], rest[::2], rest[1::2], strict=False))
    last = rest[-1]  # the one that has no partner when their number is odd; twice otherwise

    assert feed(Reassembly(), [first, *swapped, last]) == UNITS


def test_a_sender_without_markers_is_understood_by_its_times() -> None:
    unmarked = [
        Packet(sequence=packet.sequence, timestamp=packet.timestamp, marker=False, data=packet.data)
        for packet in flat(packets(UNITS))
    ]

    assert feed(Reassembly(), unmarked) == UNITS[:-1]  # the last one waits for its successor


def test_padding_is_no_picture() -> None:
    cut = packets(UNITS[:2])
    padding = Packet(sequence=cut[1][-1].sequence + 1, timestamp=cut[1][-1].timestamp, marker=False, data=b"")

    assert feed(Reassembly(), [*flat(cut), padding]) == UNITS[:2]


def test_before_the_first_keyframe_there_is_no_picture_and_one_is_asked_for() -> None:
    reassembly = Reassembly()

    assert feed(reassembly, flat(packets(UNITS[1:4]))) == []
    assert reassembly.wants_keyframe(0.0)
    assert reassembly.units_dropped == 3


def test_a_keyframe_whose_beginning_was_missed_is_none() -> None:
    reassembly = Reassembly()

    assert feed(reassembly, flat(packets(UNITS))[1:]) == [
        Unit(data=unit.data, ticks=unit.ticks - UNITS[4].ticks, keyframe=unit.keyframe) for unit in UNITS[4:]
    ]


def test_a_packet_that_comes_late_enough_is_waited_for() -> None:
    reassembly = Reassembly()
    given = flat(packets(UNITS))
    late = given.pop(3)

    before = feed(reassembly, given, now=0.0)
    after = feed(reassembly, [late], now=PATIENCE_S / 2)

    assert before + after == UNITS
    assert reassembly.packets_lost == 0


def test_after_a_loss_the_picture_goes_on_with_the_next_keyframe_which_is_asked_for() -> None:
    reassembly = Reassembly()
    cut = packets(UNITS)
    del cut[5][0]

    seen = feed(reassembly, flat(cut[:7]), now=0.0)
    assert not reassembly.wants_keyframe(0.0)
    seen += feed(reassembly, cut[7], now=PATIENCE_S)
    assert reassembly.wants_keyframe(PATIENCE_S)
    seen += feed(reassembly, flat(cut[8:]), now=2 * PATIENCE_S)

    assert seen == UNITS[:5] + UNITS[8:]
    assert reassembly.packets_lost == 1
    assert not reassembly.wants_keyframe(99.0)


def test_keyframes_are_not_asked_for_with_every_packet() -> None:
    reassembly = Reassembly()
    late = packets(UNITS[1:4])

    asked = []
    for at, unit in zip((0.0, ASK_EVERY_S / 2, ASK_EVERY_S), late, strict=True):
        feed(reassembly, unit, now=at)
        asked.append(reassembly.wants_keyframe(at))

    assert asked == [True, False, True]


def test_what_waits_for_a_missing_packet_is_bounded() -> None:
    reassembly = Reassembly()
    feed(reassembly, flat(packets(UNITS[:1])))
    flood = [
        Packet(sequence=(5000 + n) & 0xFFFF, timestamp=1, marker=False, data=b"x") for n in range(2 * MOST_WAITING)
    ]

    feed(reassembly, flood, now=0.0)

    assert reassembly.packets_lost > 0
    assert len(reassembly._waiting) <= MOST_WAITING

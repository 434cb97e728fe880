from __future__ import annotations

import contextlib
import random
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.media.transport_cc import MOST_PACKETS, MalformedFeedback, parse
from tests.kit import feedback

HEADER = bytes.fromhex("00050000 00000200")  # from packet 5 on, reference time 2

steps = st.lists(st.none() | st.integers(-300, 600), min_size=1, max_size=200)


def _about(count: int, rest: str) -> bytes:
    return HEADER[:2] + struct.pack(">H", count) + HEADER[4:] + bytes.fromhex(rest)


def _times(fci: bytes) -> list[int | None]:
    said = parse(fci)
    arrivals = iter(said.arrivals)
    return [next(arrivals) if said.received >> place & 1 else None for place in range(said.count - 1, -1, -1)]


@given(steps, st.integers(0, 0xFFFF), st.integers(1, 0xFFFFF0), st.integers(0, 9))
def test_whatever_chunks_a_receiver_chooses_each_packet_gets_its_time(
    deltas: list[int | None], base: int, reference: int, seed: int
) -> None:
    at, arrivals = reference * 256, list[int | None]()
    for delta in deltas:
        at = max(0, at + (delta or 0))
        arrivals.append(None if delta is None else at)

    fci = feedback.write(base, arrivals, choose=random.Random(seed))  # noqa: S311  # to be repeatable

    assert parse(fci).base == base
    assert _times(fci) == arrivals


def test_a_run_and_a_one_bit_vector_read_as_the_draft_has_them() -> None:
    run_of_three = "2003"
    first_and_last_of_fourteen = format(0b10_10000000000001, "04x")

    times = _times(_about(17, run_of_three + first_and_last_of_fourteen + "0102030405"))

    assert times == [513, 515, 518, 522] + [None] * 12 + [527]


def test_large_and_negative_times_stand_in_two_bit_vectors() -> None:
    small_large_lost_large = format(0b11_01100010_000000, "04x")

    assert _times(_about(4, small_large_lost_large + "01 0400 fffe")) == [513, 1537, None, 1535]


def test_a_chunk_may_say_more_than_there_are_packets() -> None:
    assert _times(_about(2, "bfff 0101 0000")) == [513, 514]


@pytest.mark.parametrize(
    ("fci", "why"),
    [
        (b"", "too few"),
        (HEADER, "too few"),
        (_about(0, "2001 01"), "about 0 packets"),
        (_about(MOST_PACKETS + 1, "3fff"), "about 4097 packets"),
        (_about(9, "2003"), "6 packets too early"),
        (_about(2, "2000 2002 0101"), "empty run"),
        (_about(1, "6001 0101"), "reserved symbol"),
        (_about(2, format(0b11_01110000_000000, "04x") + "01"), "reserved symbol"),
        (_about(2, "2002 01"), "before those of all"),
        (_about(1, "4001 01"), "before those of all"),
        (_about(1, "2001 01 00000000"), "4 bytes follow"),
    ],
)
def test_what_is_malformed_is_refused_and_said_why(fci: bytes, why: str) -> None:
    with pytest.raises(MalformedFeedback, match=why):
        parse(fci)


@given(st.binary(max_size=400))
def test_any_bytes_are_read_or_refused(fci: bytes) -> None:
    with contextlib.suppress(MalformedFeedback):
        said = parse(fci)
        assert said.received.bit_count() == len(said.arrivals) <= said.count <= MOST_PACKETS

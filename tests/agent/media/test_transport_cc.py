from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.media.transport_cc import MOST_PACKETS, Arrivals, MalformedFeedback, after_us, parse
from tests.agent.media.linked import transport_feedback

steps = st.one_of(st.none(), st.integers(-8_000, 8_000))


@given(st.integers(0, 0xFFFF), st.integers(0, 0xFFFFFF), st.lists(steps, min_size=1, max_size=200))
def test_every_arrival_comes_back_at_its_time(first: int, reference: int, deltas: list[int | None]) -> None:
    times, now = list[int | None](), reference * 64_000
    for delta in deltas:
        now += 0 if delta is None else delta * 250
        times.append(None if delta is None else now)

    assert parse(transport_feedback(first, times, reference * 64_000)) == Arrivals(first, times)


def test_runs_and_one_bit_vectors_are_read_as_the_draft_has_them() -> None:
    head = bytes.fromhex("0005 0011 000002 00")
    run_of_three_small = "2003"
    vector_of_fourteen = format(0x8000 | 0b10000000000001, "04x")

    arrivals = parse(head + bytes.fromhex(run_of_three_small + vector_of_fourteen + "01 02 03 04 05"))

    assert arrivals.first == 5
    assert [time for time in arrivals.times_us if time is not None] == [
        128_000 + 250 * steps for steps in (1, 3, 6, 10, 15)
    ]
    assert arrivals.times_us.index(None) == 4


@pytest.mark.parametrize(
    "fci",
    [
        b"",
        bytes.fromhex("0000 0000 000000 00"),  # no packets
        bytes.fromhex("0000 ffff 000000 00 3fff"),  # more than there can be
        bytes.fromhex("0000 0002 000000 00"),  # no chunks
        bytes.fromhex("0000 0002 000000 00 2000 2002 0101"),  # a run of none
        bytes.fromhex("0000 0002 000000 00 2002 01"),  # deltas cut short
        bytes.fromhex("0000 0001 000000 00 4001 01"),
        bytes.fromhex("0000 0001 000000 00 6001 0101"),  # the reserved symbol
    ],
)
def test_what_is_malformed_is_told(fci: bytes) -> None:
    with pytest.raises(MalformedFeedback):
        parse(fci)


@given(st.binary(max_size=400))
def test_any_bytes_are_read_or_refused(fci: bytes) -> None:
    with contextlib.suppress(MalformedFeedback):
        assert len(parse(fci).times_us) <= MOST_PACKETS


def test_times_are_compared_over_the_wrap_of_the_receivers_clock() -> None:
    wrap = 64_000 << 24

    assert after_us(500, wrap - 500) == 1_000
    assert after_us(wrap - 500, 500) == -1_000

"""How a flight of DTLS becomes datagrams."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.webrtc.records import MAX_DATAGRAM, datagrams


def record(size: int) -> bytes:
    """A handshake record of so many bytes in all."""
    return b"\x16\xfe\xfd" + bytes(8) + (size - 13).to_bytes(2) + bytes(size - 13)


@pytest.mark.parametrize(
    ("records", "sent"),
    [
        ([], []),
        ([300], [300]),
        ([121, 416, 135, 73, 25], [770]),
        ([600, 600, 600], [1200, 600]),
        ([600, 601], [600, 601]),
        ([1200, 25], [1200, 25]),
        ([100, 1400, 100], [100, 1400, 100]),
    ],
)
def test_as_many_whole_records_as_fit_go_together(records: list[int], sent: list[int]) -> None:
    flight = b"".join(map(record, records))

    assert [len(datagram) for datagram in datagrams(flight)] == sent
    assert b"".join(datagrams(flight)) == flight


@given(sizes=st.lists(st.integers(13, MAX_DATAGRAM), max_size=20))
def test_no_datagram_is_too_long_and_none_ends_within_a_record(sizes: list[int]) -> None:
    sent = list(datagrams(b"".join(map(record, sizes))))

    ends = {sum(sizes[:count]) for count in range(len(sizes) + 1)}
    assert all(len(datagram) <= MAX_DATAGRAM for datagram in sent)
    assert all(sum(map(len, sent[:count])) in ends for count in range(len(sent) + 1))

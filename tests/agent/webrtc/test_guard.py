"""What passes the guard, what does not, and what each costs at most."""

from __future__ import annotations

from typing import Any

import pytest
from aioice import stun
from hypothesis import given
from hypothesis import strategies as st

from agent.webrtc.guard import (
    MAX_ATTRIBUTES,
    MAX_BYTES,
    MAX_HELD,
    MAX_NAMED,
    MAX_SOURCES,
    MAX_STUN_BYTES,
    Drops,
    Guard,
    Kind,
)
from tests.kit.hostile_datagrams import HOSTILE, raw_stun, request

VIEWER = (1, "192.0.2.1", 5000)
_, HOST, PORT = VIEWER
STRANGER = (1, "203.0.113.9", 4000)
FORBIDDEN = (1, "127.0.0.1", 4000)
OURS, THEIRS, PASSWORD = "abcd", "efgh", "p" * 22
DTLS, RTCP = b"\x16\xfe\xfd" + bytes(40), b"\x81\xc9" + bytes(40)


@pytest.fixture
def guard() -> Guard:
    return Guard(Drops(), lambda host, port: host != FORBIDDEN[1])


def proves(guard: Guard, data: bytes, source: tuple[int, str, int] = VIEWER, theirs: str | None = THEIRS) -> bool:
    return guard.proves(data, source, ours=OURS, theirs=theirs, password=PASSWORD)


def good(**more: object) -> bytes:
    return request(f"{OURS}:{THEIRS}", PASSWORD, **more)


@pytest.mark.parametrize("data", [DTLS, RTCP, b"\x80\x60" + bytes(30)], ids=["DTLS", "RTCP", "RTP"])
def test_data_passes_from_an_address_whose_pair_has_succeeded_and_from_no_other(guard: Guard, data: bytes) -> None:
    guard.succeeded(VIEWER)

    assert guard.sort(data, VIEWER) is Kind.DATA
    for other in (STRANGER, (2, *VIEWER[1:]), (1, VIEWER[1], 5001)):
        assert guard.sort(data, other) is Kind.NOTHING
    assert guard.drops.stranger == 3


@pytest.mark.parametrize("size", [0, MAX_BYTES + 1, 2048])
def test_nothing_and_too_much_are_dropped_whoever_sends_them(guard: Guard, size: int) -> None:
    guard.succeeded(VIEWER)

    assert guard.sort(b"\x80" * size, VIEWER) is Kind.NOTHING
    assert (guard.drops.empty, guard.drops.over_long) == ((1, 0) if size == 0 else (0, 1))


@pytest.mark.parametrize("first", [4, 15, 16, 19, 64, 79, 80, 127, 192, 255])
def test_what_no_session_speaks_is_dropped_whoever_sends_it(guard: Guard, first: int) -> None:
    guard.succeeded(VIEWER)

    assert guard.sort(bytes([first]) + bytes(40), VIEWER) is Kind.NOTHING
    assert guard.drops.alien == 1


@pytest.mark.parametrize(
    ("data", "addr", "is_short"),
    [
        (RTCP, (HOST, PORT), True),
        (RTCP, (HOST, PORT, 0, 0), True),  # as IPv6 says addresses
        (RTCP[:2] + bytes(MAX_BYTES - 2), (HOST, PORT), True),
        (RTCP[:2] + bytes(MAX_BYTES - 1), (HOST, PORT), False),
        (RTCP, (HOST, PORT ^ 1), False),
        (RTCP, ("192.0.2.99", PORT), False),
        (b"\x80\x60" + bytes(30), (HOST, PORT), False),
        (DTLS, (HOST, PORT), False),
        (good(), (HOST, PORT), False),
        (RTCP[:1], (HOST, PORT), False),
        (b"", (HOST, PORT), False),
    ],
    ids=["report", "IPv6", "long", "over-long", "port", "host", "RTP", "DTLS", "check", "one byte", "empty"],
)
def test_a_shortcut_is_for_reports_from_its_address_and_all_else_goes_through_the_guard(
    guard: Guard, data: bytes, addr: tuple[Any, ...], is_short: bool
) -> None:
    guard.succeeded(VIEWER)
    reports, others = list[bytes](), list[tuple[bytes, object]]()
    take = guard.shortcut(VIEWER, reports.append, lambda data, addr: others.append((data, addr)))

    take(data, addr)

    assert reports == [data] * is_short
    assert others == [(data, addr)] * (not is_short)


def test_there_is_no_shortcut_from_where_no_pair_has_succeeded(guard: Guard) -> None:
    def otherwise(data: bytes, addr: tuple[Any, ...]) -> None: ...

    guard.succeeded((2, *VIEWER[1:]))

    assert guard.shortcut(VIEWER, lambda data: None, otherwise) is otherwise


def test_a_check_that_knows_both_names_and_our_password_passes(guard: Guard) -> None:
    assert guard.sort(good(), VIEWER) is Kind.CHECK
    assert proves(guard, good())
    assert guard.account() == ""


def test_before_their_name_is_known_any_will_do(guard: Guard) -> None:
    assert proves(guard, good(), theirs=None)
    assert not proves(guard, request("abc:efgh", PASSWORD), theirs=None)


@pytest.mark.parametrize(
    "data",
    [
        request(f"{OURS}:{THEIRS}", "q" * 22),
        request(f"{OURS}:other", PASSWORD),
        request(f"other:{THEIRS}", PASSWORD),
        request(OURS, PASSWORD),
        raw_stun((6, b"abcd:efgh"), (0x24, bytes(4))),
        raw_stun((6, b"abcd:efgh"), (0x24, bytes(4)), (8, bytes(20))),
        raw_stun((6, b"abcd:efgh"), (0x24, bytes(4)), (8, b"")),
        raw_stun(),
        raw_stun(*[(0xC001, b"")] * MAX_ATTRIBUTES, (6, b"abcd:efgh"), (8, bytes(20))),
    ],
    ids=["password", "their name", "our name", "half a name", "unsealed", "zeros", "no seal", "bare", "crowded"],
)
def test_a_check_that_proves_nothing_is_counted_as_that(guard: Guard, data: bytes) -> None:
    assert not proves(guard, data)
    assert guard.account() == "unproven 1"


def test_a_check_that_was_changed_on_its_way_proves_nothing(guard: Guard) -> None:
    data = good()
    sealed = len(data) - 8 - 24

    for at in range(sealed):
        if at not in {2, 3}:  # the length is what the reader of the header checks
            assert not proves(guard, data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]), at


def test_what_follows_the_integrity_does_not_count(guard: Guard) -> None:
    forged = raw_stun((0x24, bytes(4)), (8, bytes(20)), (6, b"abcd:efgh"))

    assert not proves(guard, forged)


@pytest.mark.parametrize(
    "data",
    [b"\0\x01\0\0", raw_stun()[:19], raw_stun() + b"\0", raw_stun()[:4] + bytes(4) + raw_stun()[8:], good()[:40]],
    ids=["short", "shorter than its head", "longer than it says", "without the cookie", "cut"],
)
def test_stun_with_a_wrong_head_is_malformed(guard: Guard, data: bytes) -> None:
    assert guard.sort(data, VIEWER) is Kind.NOTHING
    assert guard.account() == "malformed 1"


def test_stun_that_is_longer_than_a_check_is_malformed(guard: Guard) -> None:
    assert guard.sort(raw_stun((0xC001, bytes(MAX_STUN_BYTES))), VIEWER) is Kind.NOTHING
    assert guard.account() == "malformed 1"


def test_an_attribute_that_ends_outside_its_message_is_malformed(guard: Guard) -> None:
    assert not proves(guard, raw_stun((6, b"abcd:efgh"))[:-14] + b"\xff\xff" + bytes(12))
    assert guard.account() == "malformed 1"


def test_a_first_check_has_a_priority_and_later_ones_need_none(guard: Guard) -> None:
    message = stun.Message(message_method=stun.Method.BINDING, message_class=stun.Class.REQUEST)
    message.attributes = {"USERNAME": f"{OURS}:{THEIRS}"}
    message.add_message_integrity(PASSWORD.encode())

    assert not proves(guard, bytes(message))
    guard.succeeded(VIEWER)
    assert proves(guard, bytes(message))


def test_responses_are_told_from_what_nobody_asked_for(guard: Guard) -> None:
    assert guard.sort(raw_stun(what=0x0101), STRANGER) is Kind.RESPONSE
    assert guard.sort(raw_stun(what=0x0111), STRANGER) is Kind.RESPONSE
    for what in (0x0011, 0x0003, 0x0103, 0x0002, 0x03FF):
        assert guard.sort(raw_stun(what=what), STRANGER) is Kind.NOTHING
    assert guard.account() == "unasked 5"


def test_a_handshake_that_begins_before_its_pair_succeeded_is_held_until_then(guard: Guard) -> None:
    assert proves(guard, good())
    flight = [DTLS + bytes([number]) for number in range(3)]

    assert {guard.sort(data, VIEWER) for data in flight} == {Kind.NOTHING}
    assert guard.drops.stranger == 0
    assert guard.succeeded(VIEWER) == flight
    assert guard.succeeded(VIEWER) == []


def test_what_is_held_is_bounded_and_is_dtls_alone(guard: Guard) -> None:
    assert proves(guard, good())

    for _ in range(MAX_HELD + 5):
        guard.sort(DTLS, VIEWER)
    guard.sort(RTCP, VIEWER)

    assert guard.drops.stranger == 6
    assert len(guard.succeeded(VIEWER)) == MAX_HELD


def test_what_is_held_for_one_address_is_not_given_to_another(guard: Guard) -> None:
    assert proves(guard, good())
    assert proves(guard, good(), STRANGER)
    guard.sort(DTLS, VIEWER)

    assert guard.succeeded(STRANGER) == []
    assert guard.succeeded(VIEWER) == [DTLS]


def test_nothing_is_held_for_who_proved_nothing(guard: Guard) -> None:
    guard.sort(DTLS, STRANGER)

    assert guard.succeeded(STRANGER) == []


def test_checks_are_taken_from_so_many_addresses_and_from_those_again(guard: Guard) -> None:
    sources = [(1, "203.0.113.9", port) for port in range(MAX_SOURCES + 1)]

    assert [proves(guard, good(), source) for source in sources] == [True] * MAX_SOURCES + [False]
    assert guard.account() == "crowd 1"
    assert proves(guard, good(), sources[0])


def test_a_recorded_check_from_a_hundred_ports_keeps_out_no_address_that_the_viewer_names(guard: Guard) -> None:
    for port in range(MAX_SOURCES):
        assert proves(guard, good(), (1, "203.0.113.9", port))
    assert not proves(guard, good())

    guard.expect(*VIEWER[1:])

    assert proves(guard, good())
    assert proves(guard, good(), (2, *VIEWER[1:])), "on another socket of ours"
    assert not proves(guard, good(), (1, VIEWER[1], 5001))
    assert guard.account() == "crowd 2"


def test_so_many_addresses_may_be_named(guard: Guard) -> None:
    for port in range(MAX_SOURCES):
        proves(guard, good(), (1, "203.0.113.9", port))
    for port in range(MAX_NAMED + 1):
        guard.expect(VIEWER[1], port)

    heard = [proves(guard, good(), (1, VIEWER[1], port)) for port in range(MAX_NAMED + 1)]

    assert heard == [True] * MAX_NAMED + [False]


def test_an_address_that_is_not_spoken_to_is_not_learnt_even_where_it_is_named(guard: Guard) -> None:
    guard.expect(*FORBIDDEN[1:])

    for _ in range(MAX_SOURCES):
        assert not proves(guard, good(), FORBIDDEN)

    assert not guard.has_heard(FORBIDDEN)
    assert guard.account() == f"forbidden {MAX_SOURCES}"
    assert proves(guard, good())


@pytest.mark.parametrize("name", HOSTILE)
def test_a_strangers_datagram_leads_nowhere_and_is_counted(guard: Guard, name: str) -> None:
    data = HOSTILE[name]

    kind = guard.sort(data, STRANGER)

    if kind is Kind.CHECK:
        assert not proves(guard, data, STRANGER)
    if kind is not Kind.RESPONSE:  # one that nobody waits for, which is known where the requests are
        assert guard.account()
    assert kind is not Kind.DATA


@given(data=st.binary(max_size=200))
def test_bytes_of_a_stranger_never_pass_and_never_raise(data: bytes) -> None:
    guard = Guard(Drops(), lambda host, port: host != FORBIDDEN[1])

    for datagram in (data, b"\0\x01" + len(data).to_bytes(2) + b"\x21\x12\xa4\x42" + bytes(12) + data):
        assert guard.sort(datagram, STRANGER) is not Kind.DATA
        assert not proves(guard, datagram, STRANGER)

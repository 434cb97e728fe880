"""The page of C refuses what does not fit together, and says what the system says."""

from __future__ import annotations

import errno
import os
import socket
import struct
from array import array
from pathlib import Path
from typing import Any

import pytest
from pylibsrtp import Policy, Session
from pylibsrtp._binding import ffi, lib

from agent.webrtc.wire import WIRE
from tests.kit.full import full_socket

pytestmark = pytest.mark.compiled

_STRIDE = 100
_HEADER = b"\x80" + bytes(_STRIDE - 1)


@pytest.fixture
def session() -> Session:
    return Session(Policy(key=bytes(30), ssrc_type=Policy.SSRC_ANY_OUTBOUND))


def _protect(session: Session, **but: Any) -> int:
    """Protect three packets of 84, 84 and 50 bytes, unless something is otherwise."""
    arguments: dict[str, Any] = {
        "function": int(ffi.cast("uintptr_t", ffi.addressof(lib, "srtp_protect"))),
        "session": int(ffi.cast("uintptr_t", session._srtp[0])),
        "buffer": memoryview(bytearray(3 * _STRIDE + 148)),
        "data": (_HEADER * 3)[:250],
        "sizes": array("i", [84, 84, 50]),
        "first": 0,
        "count": 3,
        "stride": _STRIDE,
        "sequence": 1,
        "timestamp": 2,
        "number_at": 17,
        "number": 3,
    }
    assert WIRE is not None
    return WIRE.protect(*(arguments | but).values())


def test_what_fits_is_taken(session: Session) -> None:
    assert _protect(session) == 0


def test_what_libsrtp_says_is_given(session: Session) -> None:
    _protect(session)

    assert _protect(session, sequence=0) == 9  # srtp_err_status_replay_fail: a number for the second time


@pytest.mark.parametrize(
    "but",
    [
        {"count": 0},
        {"count": 4},
        {"count": 2**64 - 1},
        {"first": 1},
        {"first": 3, "count": 1},
        {"first": 2**64 - 1, "count": 1},
        {"first": 2, "count": 1, "data": _HEADER * 2},
        {"data": b""},
        {"data": (_HEADER * 3)[:249]},
        {"sizes": array("i")},
        {"sizes": array("i", [101, 84, 50])},
        {"sizes": array("i", [84, 84, 51])},
        {"sizes": array("i", [84, 84, 11])},
        {"sizes": array("i", [-1, 84, 50])},
        {"stride": 0},
        {"stride": 11},
        {"stride": 2**16},
        {"number_at": 99},
        {"number_at": 2**64 - 1},
        {"buffer": memoryview(bytearray(3 * _STRIDE + 147))},  # SRTP may append 148 bytes
    ],
)
def test_what_does_not_fit_together_is_refused(session: Session, but: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="beyond"):
        _protect(session, **but)


@pytest.mark.parametrize("but", [{"buffer": memoryview(bytes(1000))}, {"data": "text"}, {"sizes": 1}, {"first": "1"}])
def test_what_is_of_another_type_is_refused(session: Session, but: dict[str, Any]) -> None:
    with pytest.raises((TypeError, BufferError)):
        _protect(session, **but)


@pytest.mark.parametrize("given", [0, 3, 5, 11, 13])
def test_too_few_and_too_many_arguments_are_an_error(given: int) -> None:
    assert WIRE is not None
    for function in (WIRE.protect, WIRE.send):
        with pytest.raises(TypeError, match="takes"):
            function(*[1] * given)  # type: ignore[arg-type]


def test_a_socket_that_is_full_is_the_error_that_asyncio_knows(tmp_path: Path) -> None:
    assert WIRE is not None
    with full_socket(tmp_path) as (sock, name), pytest.raises(BlockingIOError):
        WIRE.send(sock.fileno(), struct.pack("=H", socket.AF_UNIX) + os.fsencode(name) + b"\0", memoryview(b"1"), 1)


def test_a_socket_that_is_closed_is_an_error() -> None:
    assert WIRE is not None
    with pytest.raises(OSError) as refusal:  # noqa: PT011  # errno says it
        WIRE.send(-1, bytes(16), memoryview(b"1"), 1)

    assert refusal.value.errno == errno.EBADF

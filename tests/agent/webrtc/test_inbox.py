"""Datagrams are read with the pictures, or soon; from a viewer that loses packets at once."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Iterator

import pytest

from agent.webrtc.inbox import LONGEST_S, Inbox
from tests.kit.arrivals import until


@pytest.fixture
def ours() -> Iterator[socket.socket]:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        sock.setblocking(False)
        yield sock


@pytest.fixture
def viewer(ours: socket.socket) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.connect(ours.getsockname())
        yield sock


async def test_a_reading_hands_over_all_that_came_and_from_where(ours: socket.socket, viewer: socket.socket) -> None:
    inbox, heard = Inbox(), list[tuple[bytes, object]]()
    inbox.join(ours, lambda data, address: heard.append((data, address)))
    for number in range(20):
        viewer.send(bytes([number]))

    inbox.read()

    assert heard == [(bytes([number]), viewer.getsockname()) for number in range(20)]
    inbox.leave(ours)


async def test_a_datagram_says_how_long_it_waited(ours: socket.socket, viewer: socket.socket) -> None:
    inbox, ages = Inbox(), list[float]()
    inbox.join(ours, lambda data, address: ages.append(inbox.age_s))
    viewer.send(b"report")
    time.sleep(0.03)  # noqa: ASYNC251  # the loop is busy

    inbox.read()

    assert 0.025 <= ages[0] <= LONGEST_S
    assert inbox.age_s == 0.0
    inbox.leave(ours)


async def test_when_no_picture_leaves_it_reads_by_itself(ours: socket.socket, viewer: socket.socket) -> None:
    inbox, heard = Inbox(), list[bytes]()
    inbox.join(ours, lambda data, address: heard.append(data))

    for number in range(3):
        viewer.send(bytes([number]))
        await until(lambda: len(heard) > number)  # noqa: B023  # it is awaited in this turn
    inbox.leave(ours)


async def test_who_is_in_a_hurry_is_read_at_once_for_a_while(ours: socket.socket, viewer: socket.socket) -> None:
    inbox, heard = Inbox(longest_s=1000.0), list[bytes]()
    inbox.join(ours, lambda data, address: heard.append(data))
    inbox.hurry(ours)
    inbox.hurry(ours)

    viewer.send(b"lost")
    await until(lambda: heard == [b"lost"])

    inbox.leave(ours)


async def test_the_hurry_ends_after_its_last_cause(ours: socket.socket, viewer: socket.socket) -> None:
    inbox, heard = Inbox(longest_s=1000.0, at_once_s=0.1), list[bytes]()
    inbox.join(ours, lambda data, address: heard.append(data))
    inbox.hurry(ours)
    await asyncio.sleep(0.06)
    inbox.hurry(ours)
    await asyncio.sleep(0.25)

    viewer.send(b"late")
    await asyncio.sleep(0.02)
    assert heard == []
    inbox.read()
    assert heard == [b"late"]
    inbox.leave(ours)


@pytest.mark.parametrize(("fps", "readings"), [(15, 90), (20, 90), (24, 45), (30, 45), (60, 30)])
async def test_while_pictures_leave_it_reads_and_rests_and_no_timer_wakes_it(
    ours: socket.socket, viewer: socket.socket, monkeypatch: pytest.MonkeyPatch, fps: int, readings: int
) -> None:
    now = time.monotonic()
    monkeypatch.setattr(time, "monotonic", lambda: now)  # the loop, which asks as well, does not run meanwhile
    inbox, heard_at = Inbox(), set[float]()
    inbox.join(ours, lambda data, address: heard_at.add(now))

    for _ in range(90):
        viewer.send(b"report")
        now += 1 / fps
        assert inbox._timer is not None
        assert inbox._timer.when() > now
        inbox.read()

    assert len(heard_at) == readings
    inbox.leave(ours)


async def test_who_has_left_is_read_no_more_not_even_in_the_same_reading(
    ours: socket.socket, viewer: socket.socket
) -> None:
    inbox, heard = Inbox(rest_s=0.0), list[bytes]()

    def take(data: bytes, address: object) -> None:
        heard.append(data)
        inbox.leave(ours)

    inbox.join(ours, take)
    viewer.send(b"bye")
    viewer.send(b"after")

    inbox.read()
    inbox.read()
    inbox.leave(ours)

    assert heard == [b"bye"]
    assert inbox._timer is None


async def test_a_flood_is_read_in_bounded_parts_without_a_rest(ours: socket.socket, viewer: socket.socket) -> None:
    inbox, heard = Inbox(most_at_a_time=5), list[bytes]()
    inbox.join(ours, lambda data, address: heard.append(data))
    for _ in range(8):
        viewer.send(b"x")

    inbox.read()
    assert len(heard) == 5
    inbox.read()
    assert len(heard) == 8
    inbox.leave(ours)


async def test_what_one_viewer_breaks_keeps_nobody_else_from_being_read(
    ours: socket.socket, viewer: socket.socket, caplog: pytest.LogCaptureFixture
) -> None:
    inbox, heard = Inbox(), list[bytes]()

    def take(data: bytes, address: object) -> None:
        heard.append(data)
        raise ZeroDivisionError

    inbox.join(ours, take)
    for number in range(3):
        viewer.send(bytes([number]))
        await until(lambda: len(heard) > number)  # noqa: B023  # it is awaited in this turn

    assert "a datagram was not taken" in caplog.text
    inbox.leave(ours)

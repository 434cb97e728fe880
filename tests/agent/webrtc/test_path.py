"""Bursts over real sockets: whole where the kernel splits them, packet by packet where it does not."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest

from agent.webrtc.path import Address, Path

SO_NO_CHECK = 11  # asm-generic/socket.h: a socket without checksums may not send bursts
STRIDE = 1_200
BURST = memoryview(b"".join(bytes([number]) * STRIDE for number in range(20)) + b"last")


@pytest.fixture
def receiver() -> Iterator[socket.socket]:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver:
        receiver.bind(("127.0.0.1", 0))
        receiver.settimeout(5)
        yield receiver


@pytest.fixture
def sender() -> Iterator[socket.socket]:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sender.setblocking(False)
        yield sender


def _unused(packet: bytes, address: Address) -> None:
    raise AssertionError("nothing goes through a relay here")


def _came(receiver: socket.socket) -> list[bytes]:
    return [receiver.recv(65_536) for _ in range(21)]


EXPECTED = [bytes([number]) * STRIDE for number in range(20)] + [b"last"]


def test_a_burst_arrives_as_the_packets_it_is_made_of(sender: socket.socket, receiver: socket.socket) -> None:
    path = Path(sender, receiver.getsockname(), _unused)

    path.send(BURST, STRIDE)

    assert _came(receiver) == EXPECTED
    assert path.way == "gso"


def test_a_network_that_refuses_bursts_gets_packets_and_nothing_is_lost(
    sender: socket.socket, receiver: socket.socket
) -> None:
    sender.setsockopt(socket.SOL_SOCKET, SO_NO_CHECK, 1)
    path = Path(sender, receiver.getsockname(), _unused)

    path.send(BURST, STRIDE)
    assert _came(receiver) == EXPECTED
    assert path.way == "single"
    path.send(BURST, STRIDE)
    assert _came(receiver) == EXPECTED


def test_a_relay_is_given_packet_by_packet() -> None:
    relayed: list[tuple[bytes, Address]] = []
    path = Path(None, ("192.0.2.7", 5000), lambda packet, address: relayed.append((packet, address)))

    path.send(BURST, STRIDE)

    assert relayed == [(packet, ("192.0.2.7", 5000)) for packet in EXPECTED]
    assert path.way == "relay"


def test_a_socket_that_takes_no_more_says_so() -> None:
    nobody_reads, full = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    with nobody_reads, full:
        full.setblocking(False)
        path = Path(_Connected(full), ("", 0), _unused)  # type: ignore[arg-type]

        with pytest.raises(BlockingIOError):
            _fill(path)


def _fill(path: Path) -> None:
    for _ in range(10_000):
        path.send(BURST[:STRIDE], STRIDE)


class _Connected:
    """A connected socket, which takes no address."""

    def __init__(self, sock: socket.socket) -> None:
        self._socket = sock

    def sendto(self, packet: memoryview, address: Address) -> int:
        return self._socket.send(packet)

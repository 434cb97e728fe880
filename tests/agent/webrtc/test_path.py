"""Bursts over real sockets: as one system call, packet by packet, through a relay, and where nothing goes."""

from __future__ import annotations

import errno
import socket
from collections.abc import Iterator
from pathlib import Path as File

import pytest

from agent.media.packetize import MOST_IN_BURST
from agent.webrtc.path import Address, Path, Way
from tests.kit.full import full_socket

_NO_CHECKSUMS = 11  # SO_NO_CHECK (asm-generic/socket.h): with it Linux refuses UDP_SEGMENT, as for weak devices
_STRIDE = 1228


def _burst(count: int, last: int = _STRIDE) -> tuple[memoryview, list[bytes]]:
    """Make packets that differ: in one piece, and one by one."""
    packets = [bytes([number]) * _STRIDE for number in range(count - 1)] + [bytes([count]) * last]
    return memoryview(b"".join(packets)), packets


def _no_relay(packet: bytes, address: Address) -> None:
    raise AssertionError("this is no relayed path")


@pytest.fixture
def viewer() -> Iterator[socket.socket]:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
        sock.bind(("127.0.0.1", 0))
        sock.settimeout(5)
        yield sock


@pytest.fixture
def camera() -> Iterator[socket.socket]:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.setblocking(False)
        yield sock


def _received(viewer: socket.socket, count: int) -> list[bytes]:
    return [viewer.recv(65_536) for _ in range(count)]


@pytest.mark.parametrize("count", [1, 2, 10, MOST_IN_BURST])
@pytest.mark.parametrize("last", [1, 700, _STRIDE])
def test_a_burst_arrives_as_the_packets_it_is_made_of(
    camera: socket.socket, viewer: socket.socket, count: int, last: int
) -> None:
    path = Path(camera, viewer.getsockname(), _no_relay)
    together, packets = _burst(count, last)

    path.send(together, _STRIDE)

    assert _received(viewer, count) == packets
    assert path.way == "gso"


@pytest.mark.parametrize("more", [(), (0, 0)])
def test_ipv6_is_sent_to_with_and_without_the_two_numbers_more_that_its_addresses_have(more: tuple[int, ...]) -> None:
    together, packets = _burst(10, 700)
    with (
        socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as camera,
        socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as viewer,
    ):
        viewer.bind(("::1", 0))
        viewer.settimeout(5)

        Path(camera, ("::1", viewer.getsockname()[1], *more), _no_relay).send(together, _STRIDE)

        assert _received(viewer, 10) == packets


def test_bursts_of_different_sizes_follow_each_other(camera: socket.socket, viewer: socket.socket) -> None:
    path = Path(camera, viewer.getsockname(), _no_relay)

    for stride in (1228, 40, 1228, 900):
        path.send(memoryview(bytes(stride * 3 - 1)), stride)
        assert [len(packet) for packet in _received(viewer, 3)] == [stride, stride, stride - 1]


def test_where_bursts_are_refused_every_packet_goes_by_itself_from_the_first_on(
    camera: socket.socket, viewer: socket.socket
) -> None:
    camera.setsockopt(socket.SOL_SOCKET, _NO_CHECKSUMS, 1)
    path = Path(camera, viewer.getsockname(), _no_relay)
    together, packets = _burst(10, 100)

    path.send(together, _STRIDE)
    assert path.way == "single"
    path.send(together, _STRIDE)

    assert _received(viewer, 20) == packets * 2


def test_a_path_that_once_refused_a_burst_is_not_asked_again(camera: socket.socket, viewer: socket.socket) -> None:
    camera.setsockopt(socket.SOL_SOCKET, _NO_CHECKSUMS, 1)
    path = Path(camera, viewer.getsockname(), _no_relay)
    together, packets = _burst(3)
    path.send(together, _STRIDE)
    camera.setsockopt(socket.SOL_SOCKET, _NO_CHECKSUMS, 0)

    path.send(together, _STRIDE)

    assert path.way == "single"
    assert _received(viewer, 6) == packets * 2


def test_a_lone_packet_says_nothing_about_bursts(camera: socket.socket, viewer: socket.socket) -> None:
    camera.setsockopt(socket.SOL_SOCKET, _NO_CHECKSUMS, 1)
    path = Path(camera, viewer.getsockname(), _no_relay)

    path.send(memoryview(b"one"), 3)

    assert path.way == "gso"
    assert _received(viewer, 1) == [b"one"]


def test_a_relay_is_given_packet_by_packet_with_the_address_of_the_viewer() -> None:
    relayed: list[tuple[bytes, Address]] = []
    path = Path(None, ("192.0.2.7", 5000), lambda packet, address: relayed.append((packet, address)))
    together, packets = _burst(5, 100)

    path.send(together, _STRIDE)
    path.close()

    assert path.way == "relay"
    assert relayed == [(packet, ("192.0.2.7", 5000)) for packet in packets]


def test_what_a_relay_keeps_is_not_changed_by_the_next_burst() -> None:
    relayed: list[bytes] = []
    path = Path(None, ("192.0.2.7", 5000), lambda packet, address: relayed.append(packet))
    buffer = bytearray(b"first!")

    path.send(memoryview(buffer), 3)
    buffer[:] = b"second"

    assert relayed == [b"fir", b"st!"]


@pytest.mark.parametrize("count", [1, 10])
@pytest.mark.parametrize("way", ["gso", "single"])
def test_a_socket_that_is_full_says_so(tmp_path: File, count: int, way: Way) -> None:
    with full_socket(tmp_path) as (camera, address):
        path = Path(camera, address, _no_relay)
        path.way = way

        with pytest.raises(BlockingIOError):
            path.send(_burst(count)[0], _STRIDE)

        assert path.way == way


def test_a_network_that_is_not_there_is_an_error_and_says_nothing_about_bursts(camera: socket.socket) -> None:
    path = Path(camera, ("255.255.255.255", 5000), _no_relay)  # which takes a right that nobody asked for

    with pytest.raises(OSError, match="Permission") as refusal:
        path.send(_burst(5)[0], _STRIDE)

    assert refusal.value.errno == errno.EACCES
    assert path.way == "gso"


def test_a_path_lets_go_of_its_socket_once_and_for_all(camera: socket.socket) -> None:
    path = Path(camera.dup(), ("127.0.0.1", 9), _no_relay)

    path.close()
    path.close()

    with pytest.raises(OSError, match="Bad file descriptor"):
        path.send(memoryview(b"late"), 4)
    assert camera.fileno() >= 0

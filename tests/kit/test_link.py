"""The link that other tests trust: it has the rate, the delay and the loss that it was asked for."""

from __future__ import annotations

import contextlib
import errno
import random
import socket
import struct
import subprocess
import time
from collections.abc import Iterator

import pytest

from tests.kit.link import MTU, Link, Namespace, link, namespace, needs_root
from tests.kit.link_path import Conditions, Path

_UDP_SEGMENT = 103
_HEADERS = 28  # IP and UDP


def path(**conditions: float) -> Path:
    return Path(Conditions(**conditions), random.Random(1))  # type: ignore[arg-type]  # noqa: S311  # loss that can be repeated


def test_a_packet_takes_its_time_on_the_wire_and_then_the_delay() -> None:
    line = path(rate_bps=8000, delay_s=0.5)
    line.take(bytes(1000), 10.0)

    assert line.next_at == 11.5
    assert line.arrived(11.49) == []
    assert line.arrived(11.5) == [bytes(1000)]


def test_packets_wait_for_each_other_whenever_somebody_looks() -> None:
    line = path(rate_bps=8000)
    for _ in range(3):
        line.take(bytes(1000), 0.0)

    assert len(line.arrived(2.5)) == 2
    assert len(line.arrived(3.0)) == 1
    assert line.counts.longest_wait_s == 3.0


def test_a_full_queue_drops_what_comes_last() -> None:
    line = path(rate_bps=8000, queue_bytes=2500)
    for first in range(4):
        line.take(bytes([first]) + bytes(999), 0.0)

    assert [packet[0] for packet in line.arrived(10.0)] == [0, 1]
    assert line.counts.dropped == 2


def test_what_waits_leaves_at_the_new_rate() -> None:
    line = path(rate_bps=8000)
    for _ in range(3):
        line.take(bytes(1000), 0.0)
    line.change(Conditions(rate_bps=80_000), 0.5)

    assert len(line.arrived(0.8)) == 3


def test_a_shorter_delay_does_not_let_packets_overtake() -> None:
    line = path(rate_bps=8e6, delay_s=1.0)
    line.take(b"1" * 1000, 0.0)
    line.change(Conditions(rate_bps=8e6, delay_s=0.1), 0.5)
    line.take(b"2" * 1000, 0.5)

    assert line.arrived(0.9) == []
    assert [packet[:1] for packet in line.arrived(1.1)] == [b"1", b"2"]


def test_the_share_that_is_lost_is_the_one_asked_for() -> None:
    line = path(rate_bps=1e9, loss=0.02, queue_bytes=10**9)
    for _ in range(20_000):
        line.take(bytes(100), 0.0)
    line.arrived(1.0)

    assert 300 < line.counts.lost < 500


@contextlib.contextmanager
def joined(to_far: Conditions) -> Iterator[tuple[Link, socket.socket, socket.socket]]:
    """A link with a UDP socket at each end: the near one sends to the far one."""
    with (
        namespace() as near,
        namespace() as far,
        link(near, far, to_far=to_far) as line,
        udp(far) as receiver,
        udp(near) as sender,
    ):
        receiver.bind((line.far_address, 0))
        sender.connect(receiver.getsockname())
        yield line, sender, receiver


def udp(place: Namespace) -> socket.socket:
    with place.entered():
        made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_000_000)
    made.settimeout(1.0)
    return made


def received(receiver: socket.socket, within_s: float) -> list[bytes]:
    """What comes until nothing came for so long."""
    receiver.settimeout(within_s)
    packets = []
    with contextlib.suppress(TimeoutError):
        while True:
            packets.append(receiver.recv(65_535))
    return packets


@needs_root
@pytest.mark.alone
def test_the_real_link_has_its_rate_and_its_delay() -> None:
    with joined(Conditions(rate_bps=2e6, delay_s=0.05)) as (line, sender, receiver):
        began = time.monotonic()
        sender.send(bytes(1000))
        receiver.recv(2000)
        alone_s = time.monotonic() - began

        came: list[float] = []
        receiver.setblocking(False)
        step_s, began = 0.002, time.monotonic()
        for number in range(1000):  # 4 Mbit/s for two seconds
            time.sleep(max(0.0, began + number * step_s - time.monotonic()))
            sender.send(bytes(1000 - _HEADERS))
            with contextlib.suppress(BlockingIOError):
                while receiver.recv(2000):
                    came.append(time.monotonic())
        rate_bps = (len(came) - 1) * 8000 / (came[-1] - came[0])
        _, to_far = line.counts()

    assert 0.05 < alone_s < 0.09
    assert 1.8e6 < rate_bps < 2.2e6
    assert to_far.dropped > 300
    assert 0.2 < to_far.longest_wait_s < 0.3  # the queue was full, and 64 kB take a quarter of a second


@needs_root
def test_a_link_that_is_down_says_nothing_and_comes_back() -> None:
    with joined(Conditions(delay_s=0.01)) as (line, sender, receiver):
        line.down()
        sender.send(b"into the dark")
        assert received(receiver, 0.2) == []

        line.up()
        sender.send(b"again")
        assert receiver.recv(100) == b"again"


@needs_root
def test_no_packet_is_larger_than_the_link_takes_however_it_was_sent() -> None:
    with joined(Conditions(queue_bytes=10**6)) as (line, sender, receiver):
        segmented = [(socket.IPPROTO_UDP, _UDP_SEGMENT, struct.pack("=H", 1200))]
        try:
            sent = sender.sendmsg([bytes(48 * 1200)], segmented)
        except OSError as error:
            if error.errno != errno.EIO:  # a kernel before 6.11 segments for no device without checksums of its own
                raise
            sent = 0
        assert received(receiver, 0.3) == [bytes(1200)] * (sent // 1200)
        assert line.counts()[1].largest_bytes <= MTU


@needs_root
def test_nothing_is_left_of_a_link_and_its_networks() -> None:
    with namespace() as near, namespace() as far:
        with link(near, far) as line:
            assert line.process.poll() is None
        assert line.process.returncode == 0
        devices = subprocess.run(near.command("ip", "-o", "link"), check=True, capture_output=True, text=True).stdout
    assert [device.split()[1] for device in devices.splitlines()] == ["lo:"]

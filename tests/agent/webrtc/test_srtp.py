"""What leaves is what pylibsrtp itself would have made; and what srtp.py stands on in it."""

from __future__ import annotations

import os

import pytest
from pylibsrtp import Policy, Session

from agent.media.rtp import TRANSPORT_CC, Image, Layout
from agent.webrtc import srtp
from agent.webrtc.srtp import Protector

PROFILES = {
    "cm": (Policy.SRTP_PROFILE_AES128_CM_SHA1_80, 30, 10),
    "gcm": (Policy.SRTP_PROFILE_AEAD_AES_128_GCM, 28, 16),
}
SSRC, TIMESTAMP = 0x11223344, 0x55667788


class Bench:
    """A protector, pylibsrtp with the same key, and a receiver of either."""

    def __init__(self, profile: str, *, transport_cc: bool = True) -> None:
        number, key_bytes, self.tag_bytes = PROFILES[profile]
        key = os.urandom(key_bytes)
        ids = {TRANSPORT_CC: 5} if transport_cc else {}
        self.layout = Layout.of(96, ids, mid="0", playout_delay_ms=0, tag_bytes=self.tag_bytes)
        policy = Policy(key=key, ssrc_type=Policy.SSRC_ANY_OUTBOUND, srtp_profile=number)
        self.plain = Session(policy)
        self.receiver = Session(Policy(key=key, ssrc_type=Policy.SSRC_ANY_INBOUND, srtp_profile=number))
        self.protector = Protector(Session(policy), self.layout, SSRC)

    def image(self, count: int, size: int = 1_000, last_size: int = 700) -> Image:
        head = bytes([0x90 if self.layout.extensions else 0x80, 96]) + bytes(10) + self.layout.extensions
        sizes = [size] * (count - 1) + [last_size]
        data = b"".join(
            head + bytes(index + 1 for _ in range(size - len(head))) + bytes(self.tag_bytes)
            for index, size in enumerate(sizes)
        )
        return Image(data, count, sizes[0] + self.tag_bytes, sizes[0], last_size)

    def burst(self, image: Image, first: int, count: int, sequence: int, number: int = 0) -> list[bytes]:
        wire = bytes(
            self.protector.burst(image, first, count, sequence=sequence, timestamp=TIMESTAMP, transport_number=number)
        )
        return [wire[at : at + image.stride] for at in range(0, len(wire), image.stride)]

    def expected(self, image: Image, index: int, sequence: int, number: int = 0) -> bytes:
        size = image.last_size if index == image.count - 1 else image.size
        packet = bytearray(image.data[index * image.stride : index * image.stride + size])
        packet[2:12] = (sequence & 0xFFFF).to_bytes(2, "big") + TIMESTAMP.to_bytes(4, "big") + SSRC.to_bytes(4, "big")
        if self.layout.has_transport_cc:
            packet[17:19] = (number & 0xFFFF).to_bytes(2, "big")
        return self.plain.protect(bytes(packet))


@pytest.fixture(params=PROFILES)
def profile(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.mark.parametrize("transport_cc", [True, False])
def test_a_burst_is_byte_by_byte_what_pylibsrtp_makes_of_its_packets(profile: str, transport_cc: bool) -> None:
    bench = Bench(profile, transport_cc=transport_cc)
    image = bench.image(20)

    packets = bench.burst(image, 0, 20, sequence=100, number=65_530)

    assert packets == [bench.expected(image, index, 100 + index, 65_530 + index) for index in range(20)]
    assert len(packets[-1]) == 700 + bench.tag_bytes


def test_a_burst_may_leave_in_parts(profile: str) -> None:
    bench = Bench(profile)
    image = bench.image(20)

    packets = [
        packet
        for first, count in ((0, 7), (7, 12), (19, 1))
        for packet in bench.burst(image, first, count, sequence=first, number=first)
    ]

    assert packets == [bench.expected(image, index, index, index) for index in range(20)]


def test_lone_packets_of_any_size_are_protected(profile: str) -> None:
    bench = Bench(profile)
    for sequence, size in enumerate(range(40, 1_200, 7)):
        image = bench.image(1, last_size=size)

        assert bench.burst(image, 0, 1, sequence=sequence) == [bench.expected(image, 0, sequence)]


def test_a_receiver_follows_over_the_wrap_of_the_sequence_number(profile: str) -> None:
    bench = Bench(profile)
    image = bench.image(40)
    for turn in range(4_000):
        sequence = 30_000 + turn * 40
        for packet in bench.burst(image, 0, 40, sequence=sequence & 0xFFFF):
            plain = bench.receiver.unprotect(packet)
        assert plain[2:4] == (sequence + 39 & 0xFFFF).to_bytes(2, "big")


def test_a_packet_by_itself_is_protected_as_well(profile: str) -> None:
    bench = Bench(profile)
    image = bench.image(3)

    wire = bench.protector.packet(image.data[: image.size], sequence=9, timestamp=TIMESTAMP, transport_number=1)

    assert bytes(wire) == bench.expected(image, 0, 9, 1)


def test_pylibsrtp_has_libsrtp_where_it_is_called() -> None:
    assert (
        srtp.ffi.typeof(srtp.lib.srtp_protect).cname == "srtp_err_status_t(*)(struct srtp_ctx_t_ *, void *, int *)"
    ), "pylibsrtp binds srtp_protect with other arguments"
    session = Session()
    assert srtp.ffi.typeof(session._srtp).cname == "struct srtp_ctx_t_ * *", "a session keeps its context elsewhere"

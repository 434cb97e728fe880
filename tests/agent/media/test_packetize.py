"""Access units through the depacketizers of others, and the limits that packets keep."""

from __future__ import annotations

import itertools
import socket
import subprocess
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

from aiortc.codecs.h264 import h264_depayload
from aiortc.rtp import RtpPacket
from hypothesis import given
from hypothesis import strategies as st

from agent.media import annexb
from agent.media.access_unit import AccessUnit, byte_stream
from agent.media.packetize import MAX_PAYLOAD, MOST_IN_BURST, bursts
from tests.kit.footage import nal, payloads, recorded

_STAP_A, _FU_A = 24, 28
_START, _END = 0x80, 0x40
_SDP = """\
v=0
o=- 0 0 IN IP4 127.0.0.1
s=camera
c=IN IP4 127.0.0.1
t=0 0
m=video {port} RTP/AVP 96
a=rtpmap:96 H264/90000
a=fmtp:96 packetization-mode=1
"""

# From two bytes on: one that is a header alone is no NAL unit of any of these types.
nals = st.builds(
    nal,
    st.sampled_from([annexb.SLICE, annexb.IDR, annexb.SEI, annexb.SPS, annexb.PPS]),
    st.one_of(st.integers(2, 60), st.integers(MAX_PAYLOAD - 3, MAX_PAYLOAD + 3), st.integers(2, 20_000)),
    importance=st.integers(0, 3),
    seed=st.integers(0, 40_000),
)
pictures = st.lists(nals, min_size=1, max_size=8)


@given(pictures)
def test_every_access_unit_comes_back_byte_for_byte_from_another_projects_depacketizer(units: list[bytes]) -> None:
    assert b"".join(map(h264_depayload, payloads(units))) == byte_stream(units)


@given(pictures)
def test_no_payload_is_too_long_and_all_of_a_burst_but_the_last_are_equally_long(units: list[bytes]) -> None:
    for heads, bodies in bursts(units):
        sizes = [len(head) + len(body) for head, body in zip(heads, bodies, strict=True)]
        assert 0 < len(sizes) <= MOST_IN_BURST
        assert set(sizes[:-1]) <= {MAX_PAYLOAD}
        assert 0 < sizes[-1] <= MAX_PAYLOAD


@given(st.integers(MAX_PAYLOAD + 1, 200_000))
def test_a_large_nal_unit_starts_once_and_ends_once(size: int) -> None:
    unit = bytes([0x65]) + b"\x55" * (size - 1)

    fragments = payloads([unit])

    assert {fragment[0] for fragment in fragments} == {0x60 | _FU_A}
    assert {fragment[1] & 0x1F for fragment in fragments} == {annexb.IDR}
    flags = [fragment[1] & 0xE0 for fragment in fragments]
    assert flags == [_START, *[0] * (len(flags) - 2), _END]
    assert b"".join(fragment[2:] for fragment in fragments) == unit[1:]


def test_a_nal_unit_of_just_the_limit_goes_as_it_is_and_one_byte_more_as_two_fragments() -> None:
    just, more = nal(annexb.SLICE, MAX_PAYLOAD), nal(annexb.SLICE, MAX_PAYLOAD + 1)

    assert payloads([just]) == [just]
    assert [len(payload) for payload in payloads([more])] == [MAX_PAYLOAD, 2 + MAX_PAYLOAD - (MAX_PAYLOAD - 2)]


def test_parameter_sets_go_together_before_their_picture() -> None:
    sps, pps, sei = nal(annexb.SPS, 23, importance=1), nal(annexb.PPS, 4, importance=2), nal(annexb.SEI, 30)
    idr = nal(annexb.IDR, 900)

    aggregated, picture = payloads([sps, pps, sei, idr])

    assert aggregated[0] == 0x60 | _STAP_A  # as important as the most important of them
    assert h264_depayload(aggregated) == byte_stream([sps, pps, sei])
    assert picture == idr


def test_a_parameter_set_alone_stays_as_it_is() -> None:
    sps, idr = nal(annexb.SPS, 23), nal(annexb.IDR, 900)

    assert payloads([sps, idr]) == [sps, idr]


def test_parameter_sets_that_fill_more_than_a_packet_take_two() -> None:
    sets = [nal(annexb.SPS, 700), nal(annexb.PPS, 400), nal(annexb.PPS, 300)]

    first, second = payloads(sets)

    assert h264_depayload(first) == byte_stream(sets[:2])
    assert second == sets[2]


def test_a_keyframe_of_many_packets_is_split_into_bursts_that_one_system_call_takes() -> None:
    cut = bursts([nal(annexb.IDR, 60_000)])

    assert [(len(heads), len(bodies)) for heads, bodies in cut] == [(MOST_IN_BURST, MOST_IN_BURST), (3, 3)]


def test_real_footage_comes_back_from_ffmpegs_rtp_receiver_nal_unit_for_nal_unit(tmp_path: Path) -> None:
    footage = recorded()
    port, description, out = _free_ports(), tmp_path / "camera.sdp", tmp_path / "out.h264"
    description.write_text(_SDP.format(port=port))
    reading: list[str | Path] = [
        "ffmpeg",
        "-loglevel",
        "fatal",
        "-protocol_whitelist",
        "file,udp,rtp",
        "-i",
        description,
    ]
    writing: list[str | Path] = ["-c", "copy", "-frames:v", str(len(footage)), "-f", "h264", out]
    with (
        subprocess.Popen([*reading, *writing], stdin=subprocess.DEVNULL) as ffmpeg,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock,
    ):
        try:
            # One picture more, because FFmpeg takes the last one for whole only when another follows.
            for packet in _rtp_packets([*footage, footage[0]]):
                if not _all_is_read(port, ffmpeg):
                    break
                sock.sendto(packet, ("127.0.0.1", port))
            assert ffmpeg.wait(20) == 0
        finally:
            ffmpeg.kill()

    sent = [unit for picture in footage for unit in picture.units]
    assert len(sent) > len(footage) > 100
    assert list(annexb.nal_units(out.read_bytes())) == sent


def _rtp_packets(pictures: Iterable[AccessUnit]) -> Iterator[bytes]:
    sequence = itertools.count(65_500)  # it wraps on the way
    for number, picture in enumerate(pictures):
        cut = payloads(picture.units)
        for index, payload in enumerate(cut, 1):
            packet = RtpPacket(
                payload_type=96,
                marker=int(index == len(cut)),
                sequence_number=next(sequence) & 0xFFFF,
                timestamp=number * 3600,
                ssrc=7,
                payload=payload,
            )
            yield packet.serialize()


def _free_ports() -> int:
    """Find an even port whose follower is free too, for RTP and RTCP."""
    while True:
        with (
            socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as rtp,
            socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as rtcp,
        ):
            rtp.bind(("127.0.0.1", 0))
            port: int = rtp.getsockname()[1]
            try:
                rtcp.bind(("127.0.0.1", port + 1))
            except (OSError, OverflowError):
                continue
            if port % 2 == 0:
                return port


def _all_is_read(port: int, receiver: subprocess.Popen[bytes]) -> bool:
    """Wait until the socket at `port` is there and empty: nothing is lost then, however slow the reader.

    False when it has ended.
    """
    while receiver.poll() is None:
        for line in Path("/proc/net/udp").read_text().splitlines()[1:]:
            fields = line.split()
            if int(fields[1].partition(":")[2], 16) == port and int(fields[4].partition(":")[2], 16) == 0:
                return True
        time.sleep(0.0005)
    return False

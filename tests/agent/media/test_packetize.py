from __future__ import annotations

import socket
import subprocess
import threading
import time
from pathlib import Path

import av
import pytest
from aiortc.codecs.h264 import h264_depayload
from hypothesis import given
from hypothesis import strategies as st

from agent.media import annexb
from agent.media.access_unit import AccessUnit
from agent.media.packetize import MAX_PAYLOAD, MOST_IN_BURST, Packetized, packetize
from agent.media.rtp import Layout, images
from tests.kit import clips

LAYOUT = Layout.of(96, {}, mid="0", playout_delay_ms=0, tag_bytes=0)


def _nal_unit(kind: int, size: int) -> bytes:
    return bytes([0x60 | kind]) + bytes(1 + (index * 7 + size) % 255 for index in range(size))


nal_units = st.lists(
    st.builds(_nal_unit, st.sampled_from([1, 5, 6, 7, 8]), st.one_of(st.integers(1, 60), st.integers(1, 20_000))),
    min_size=1,
    max_size=12,
)


def _packetized(units: list[bytes], pts_us: int = 0) -> Packetized:
    unit = AccessUnit(data=annexb.annexb(units), pts_us=pts_us, keyframe=False)
    return packetize(unit, captured_at=0.0, published_at=0.0)


@given(nal_units)
def test_another_depacketizer_gives_every_nal_unit_back_byte_by_byte(units: list[bytes]) -> None:
    payloads = [payload for burst in _packetized(units).bursts for payload in burst]

    assert list(annexb.nal_units(b"".join(map(h264_depayload, payloads)))) == units


@given(nal_units)
def test_a_burst_has_packets_of_one_size_but_for_a_shorter_last_one(units: list[bytes]) -> None:
    for burst in _packetized(units).bursts:
        assert 1 <= len(burst) <= MOST_IN_BURST
        assert {len(payload) for payload in burst[:-1]} <= {MAX_PAYLOAD}
        assert len(burst[-1]) <= MAX_PAYLOAD


def test_parameter_sets_travel_together_and_a_large_picture_in_fragments() -> None:
    units = [_nal_unit(7, 20), _nal_unit(8, 4), _nal_unit(5, 3_000)]

    sets, picture = _packetized(units).bursts

    assert [payload[0] & 0x1F for payload in sets] == [24]
    assert [payload[0] & 0x1F for payload in picture] == [28] * 3
    assert [payload[1] >> 6 for payload in picture] == [0b10, 0b00, 0b01]  # the start, the middle, the end


def test_what_is_no_annex_b_is_told() -> None:
    with pytest.raises(annexb.MalformedH264):
        packetize(AccessUnit(data=b"nonsense", pts_us=0, keyframe=False), captured_at=0.0, published_at=0.0)


def test_ffmpeg_receives_real_footage_byte_by_byte(tmp_path: Path) -> None:
    sent = _footage(tmp_path)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    description = tmp_path / "stream.sdp"
    description.write_text(
        f"v=0\no=- 0 0 IN IP4 127.0.0.1\ns=-\nc=IN IP4 127.0.0.1\nt=0 0\nm=video {port} RTP/AVP 96\n"
        "a=rtpmap:96 H264/90000\na=fmtp:96 packetization-mode=1\n"
    )
    received = tmp_path / "received.h264"
    command = ["ffmpeg", "-loglevel", "error", "-protocol_whitelist", "file,udp,rtp", "-i", str(description)]
    process = subprocess.Popen([*command, "-c", "copy", "-f", "h264", str(received)], stdin=subprocess.PIPE)
    ended = threading.Event()
    sender = threading.Thread(target=_send_until, args=(ended, sent, port))
    sender.start()
    try:
        _wait_for(lambda: received.exists() and received.stat().st_size > 3 * sum(len(unit) for unit in sent[:20]))
    finally:
        ended.set()
        sender.join()
        process.communicate(b"q", timeout=20)

    units = [unit for unit in annexb.nal_units(received.read_bytes()) if annexb.nal_type(unit) in {1, 5}]
    pictures = [unit for unit in sent if annexb.nal_type(unit) in {1, 5}]
    start = pictures.index(units[0])
    looped = (pictures[start:] + pictures * 100)[: len(units)]
    assert len(units) > 10
    assert units[:-1] == looped[:-1]  # the last one may have been cut off at the end


def _footage(directory: Path) -> list[bytes]:
    path = clips.remuxed(directory / "clip.h264", pictures=20)
    with av.open(path) as container:
        return [unit for packet in container.demux(video=0) if packet.size for unit in annexb.nal_units(bytes(packet))]


def _send_until(ended: threading.Event, units: list[bytes], port: int) -> None:
    """Send the units over and over, in order, slowly enough for any receiver."""
    sequence = pts_us = 0
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as wire:
        while not ended.is_set():
            for unit in units:
                pts_us += 40_000
                for image in images(_packetized([unit], pts_us), LAYOUT):
                    for at in range(0, len(image.data), image.stride):
                        packet = bytearray(image.data[at : at + image.stride])
                        packet[2:4] = (sequence & 0xFFFF).to_bytes(2, "big")
                        packet[4:8] = (pts_us * 9 // 100 & 0xFFFF_FFFF).to_bytes(4, "big")
                        wire.sendto(packet, ("127.0.0.1", port))
                        sequence += 1
                if ended.wait(0.01):
                    return


def _wait_for(reached: object, within_s: float = 20.0) -> None:
    assert callable(reached)
    until = time.monotonic() + within_s
    while not reached():
        assert time.monotonic() < until, "nothing came"
        time.sleep(0.05)

"""What each encoder makes, as an independent reader sees it, keeps what the SDP says and what viewers need."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator

import av
import pytest

from agent.capture.encoder import Encoder
from agent.capture.picture import Picture
from agent.config import CameraConfig
from agent.media import annexb
from agent.media.access_unit import AccessUnit
from agent.media.level import level_idc
from tests.kit import bitstream

CODECS = ["libx264"]
"""FFmpeg's names. h264_v4l2m2m and h264_rkmpp want a board's driver: hw-tests has them."""

SIZES = [(640, 360, 30), (1280, 720, 30), (1920, 1080, 30)]
FPS = 30


@pytest.fixture(params=CODECS)
def codec(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def _config(width: int = 640, height: int = 360, fps: int = FPS, bitrate_bps: int = 2_000_000) -> CameraConfig:
    return CameraConfig(width=width, height=height, fps=fps, bitrate_bps=bitrate_bps)


def _encoded(encoder: Encoder, config: CameraConfig, pictures: range) -> Iterator[AccessUnit]:
    picture = Picture(config.width, config.height)
    for index in pictures:
        picture.draw(index / config.fps)
        yield from encoder.encode(picture.frame, index * 1_000_000 // config.fps)


def _noise(encoder: Encoder, config: CameraConfig, pictures: range) -> Iterator[AccessUnit]:
    """Encode pictures that take any bitrate there is."""
    frame = av.VideoFrame(config.width, config.height, "yuv420p")
    for index in pictures:
        for plane in frame.planes:
            plane.update(os.urandom(plane.buffer_size))
        yield from encoder.encode(frame, index * 1_000_000 // config.fps)


def _bps(units: list[AccessUnit], config: CameraConfig) -> float:
    return sum(len(unit.data) for unit in units) * 8 * config.fps / len(units)


def test_a_keyframe_on_request_comes_within_two_pictures(codec: str) -> None:
    config = _config()
    encoder = Encoder(config, codecs=(codec,))
    before = list(_encoded(encoder, config, range(10)))
    encoder.request_keyframe()
    after = list(_encoded(encoder, config, range(10, 20)))

    assert encoder.codec == codec
    assert [unit.keyframe for unit in before] == [True] + 9 * [False]
    assert any(unit.keyframe for unit in after[:2])
    assert sum(unit.keyframe for unit in after) == 1


@pytest.mark.parametrize("bitrate_bps", [500_000, 3_000_000])
def test_a_new_bitrate_takes_effect_within_a_second_without_a_gap(codec: str, bitrate_bps: int) -> None:
    config = _config(bitrate_bps=3_000_000)
    encoder = Encoder(config, codecs=(codec,))
    encoder.set_bitrate(1_500_000)
    before = list(_noise(encoder, config, range(3 * FPS)))
    encoder.set_bitrate(bitrate_bps)
    after = list(_noise(encoder, config, range(3 * FPS, 6 * FPS)))

    assert _bps(before[FPS:], config) == pytest.approx(1_500_000, rel=0.1)
    assert _bps(after[FPS : 2 * FPS], config) == pytest.approx(bitrate_bps, rel=0.15)
    stamps = [unit.pts_us for unit in before + after]
    assert stamps == [index * 1_000_000 // FPS for index in range(6 * FPS)]
    assert not any(unit.keyframe for unit in after) or codec != "libx264"


def test_parameter_sets_stand_before_every_idr(codec: str) -> None:
    config = _config()
    encoder = Encoder(config, codecs=(codec,))
    units = list(_encoded(encoder, config, range(5)))
    for turn in range(1, 4):
        encoder.request_keyframe()
        units += _encoded(encoder, config, range(5 * turn, 5 * turn + 5))

    keyframes = [unit for unit in units if unit.keyframe]
    assert len(keyframes) == 4
    for unit in keyframes:
        kinds = [annexb.nal_type(part) for part in unit.units]
        assert kinds[:2] == [annexb.SPS, annexb.PPS]
        assert kinds.index(annexb.IDR) > 1


@pytest.mark.parametrize(("width", "height", "fps"), SIZES)
def test_profile_and_level_are_what_the_answer_says(codec: str, width: int, height: int, fps: int) -> None:
    config = _config(width, height, fps, 4_000_000)
    stream = b"".join(unit.data for unit in _encoded(Encoder(config, codecs=(codec,)), config, range(3)))

    sets = bitstream.of("Sequence Parameter Set", bitstream.units(stream))
    assert sets
    for found in sets:
        # Constrained baseline, as 42e0 in an SDP names it (RFC 6184, table 5).
        assert found["profile_idc"] == 0x42
        assert found["constraint_set1_flag"] == 1
        assert found["level_idc"] == level_idc(width, height, fps, config.bitrate_bps)


def test_no_picture_waits_for_a_later_one(codec: str) -> None:
    config = _config()
    stream = b"".join(unit.data for unit in _encoded(Encoder(config, codecs=(codec,)), config, range(30)))

    found = bitstream.units(stream)
    slices = bitstream.of("Slice Header", found)
    assert len(slices) == 30  # a slice a picture
    assert {header["slice_type"] % 5 for header in slices} == {0, 2}  # P and I (H.264, table 7-6)
    for header in bitstream.of("Sequence Parameter Set", found):
        in_order = header["pic_order_cnt_type"] == 2  # output order is decoding order (H.264, section 8.2.1.3)
        assert in_order or header["max_num_reorder_frames"] == 0


def test_the_same_holds_for_timestamps_that_are_not_even(codec: str) -> None:
    config = _config()
    encoder = Encoder(config, codecs=(codec,))
    picture = Picture(config.width, config.height)
    stamps = list(itertools.accumulate(itertools.islice(itertools.cycle((33_000, 1_000, 70_000)), 29), initial=0))
    units = [unit for stamp in stamps for unit in encoder.encode(picture.frame, stamp)]

    assert [unit.pts_us for unit in units] == stamps

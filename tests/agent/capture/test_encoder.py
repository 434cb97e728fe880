from __future__ import annotations

import dataclasses
import gc
import logging
import random

import av
import pytest

from agent.capture import encoder as encoder_module
from agent.capture.encoder import _CODECS, HARDWARE_FIRST, Encoder
from agent.capture.source import PermanentCaptureError
from agent.config import CameraConfig
from agent.media import annexb
from agent.media.access_unit import AccessUnit
from tests.agent.capture.watching import decoded

CONFIG = CameraConfig(width=640, height=360, fps=30, bitrate_bps=1_000_000, keyframe_interval_s=60)


class Restless:
    """A picture with fresh noise in a part of it each time: something that a rate control has to work for."""

    def __init__(self) -> None:
        self.frame = av.VideoFrame(640, 360, "yuv420p")
        for plane in self.frame.planes:
            plane.update(b"\x80" * plane.buffer_size)
        self._random = random.Random(1)  # noqa: S311 - noise that repeats
        self._noise = bytes(128 + (byte >> 3) for byte in self._random.randbytes(640 * 400))

    def next(self) -> av.VideoFrame:
        plane = self.frame.planes[0]
        luma = memoryview(plane)
        for y in range(160):
            at = self._random.randrange(640 * 399)
            luma[y * plane.line_size : y * plane.line_size + 640] = self._noise[at : at + 640]
        return self.frame


def _encoded(encoder: Encoder, picture: Restless, first: int, count: int) -> list[AccessUnit]:
    units: list[AccessUnit] = []
    for index in range(first, first + count):
        units += encoder.encode(picture.next(), index * 1_000_000 // 30)
    return units


def _bps(units: list[AccessUnit]) -> float:
    return sum(len(unit.data) for unit in units) * 8 * 30 / len(units)


@pytest.mark.parametrize("bitrate_bps", [300_000, 600_000])
def test_a_lower_bitrate_is_reached_within_a_second_without_a_keyframe(bitrate_bps: int) -> None:
    encoder, picture = Encoder(CONFIG), Restless()
    before = _encoded(encoder, picture, 0, 90)
    encoder.set_bitrate(bitrate_bps)
    change = _encoded(encoder, picture, 90, 30)
    after = _encoded(encoder, picture, 120, 60)

    assert _bps(before[30:]) == pytest.approx(1_000_000, rel=0.15)
    assert _bps(after) == pytest.approx(bitrate_bps, rel=0.2)
    assert not any(unit.keyframe for unit in change + after)


def test_a_lowered_bitrate_can_be_raised_again_up_to_the_first_one_without_a_keyframe() -> None:
    encoder, picture = Encoder(CONFIG), Restless()
    encoder.set_bitrate(1_000_000)
    _encoded(encoder, picture, 0, 30)
    encoder.set_bitrate(300_000)
    _encoded(encoder, picture, 30, 60)
    encoder.set_bitrate(1_000_000)
    _encoded(encoder, picture, 90, 30)
    after = _encoded(encoder, picture, 120, 60)

    assert _bps(after) == pytest.approx(1_000_000, rel=0.2)
    assert not any(unit.keyframe for unit in after)


def test_an_encode_that_begins_lowered_begins_small_and_goes_up_without_another_keyframe() -> None:
    encoder, picture = Encoder(CONFIG), Restless()
    encoder.set_bitrate(200_000)
    low = _encoded(encoder, picture, 0, 60)
    encoder.set_bitrate(1_000_000)
    change = _encoded(encoder, picture, 60, 30)
    after = _encoded(encoder, picture, 90, 60)

    assert len(low[0].data) * 8 <= 200_000 / 4
    assert _bps(low[:30]) == pytest.approx(200_000, rel=0.3)
    assert _bps(after) == pytest.approx(1_000_000, rel=0.2)
    assert [unit.keyframe for unit in low + change + after] == [True] + [False] * 149


def test_a_bitrate_above_the_configured_one_is_reached_for_the_price_of_one_keyframe() -> None:
    encoder, picture = Encoder(CONFIG), Restless()
    before = _encoded(encoder, picture, 0, 60)
    encoder.set_bitrate(2_000_000)
    after = _encoded(encoder, picture, 60, 90)

    assert _bps(after[30:]) == pytest.approx(2_000_000, rel=0.2)
    assert [unit.keyframe for unit in after] == [True] + [False] * 89
    assert [unit.pts_us for unit in before + after] == [index * 1_000_000 // 30 for index in range(150)]
    assert len(decoded(before + after)) == 150


def test_a_requested_keyframe_is_the_very_next_picture_and_the_only_one() -> None:
    encoder, picture = Encoder(CONFIG), Restless()
    _encoded(encoder, picture, 0, 10)
    encoder.request_keyframe()

    assert [unit.keyframe for unit in _encoded(encoder, picture, 10, 5)] == [True] + [False] * 4


def test_a_keyframe_comes_by_itself_at_the_configured_interval() -> None:
    encoder = Encoder(CameraConfig(fps=30, keyframe_interval_s=0.5))

    units = _encoded(encoder, Restless(), 0, 40)

    assert [index for index, unit in enumerate(units) if unit.keyframe] == [0, 15, 30]


def test_a_keyframe_takes_no_more_than_the_buffer_of_a_quarter_of_a_second() -> None:
    units = _encoded(Encoder(CONFIG), Restless(), 0, 60)

    assert max(len(unit.data) for unit in units) * 8 <= 250_000


def test_a_keyframe_at_a_lowered_bitrate_is_small_too() -> None:
    encoder, picture = Encoder(CONFIG), Restless()
    _encoded(encoder, picture, 0, 60)
    encoder.set_bitrate(300_000)
    _encoded(encoder, picture, 60, 60)
    encoder.request_keyframe()
    (keyframe,) = _encoded(encoder, picture, 120, 1)

    assert keyframe.keyframe
    assert len(keyframe.data) * 8 <= 300_000 / 2


def test_the_stream_is_constrained_baseline_of_a_level_that_browsers_are_offered() -> None:
    picture = av.VideoFrame(1280, 720, "yuv420p")
    (unit,) = Encoder(CameraConfig()).encode(picture, 0)

    sps = next(part for part in unit.units if annexb.nal_type(part) == annexb.SPS)
    profile, constraints, level = sps[1:4]
    assert profile == 66
    assert constraints & 0x40  # constraint_set1_flag: no tool outside constrained baseline
    assert level <= 31  # 42e01f promises level 3.1


def test_an_encoder_that_does_not_open_is_passed_over_and_that_is_said_once(caplog: pytest.LogCaptureFixture) -> None:
    encoder_module._tell.cache_clear()
    caplog.set_level(logging.INFO, "agent.capture.encoder")
    for _ in range(2):
        encoder = Encoder(CONFIG, codecs=HARDWARE_FIRST)

        units = _encoded(encoder, Restless(), 0, 3)

        assert encoder.codec == "libx264"  # no machine that runs this test has the others
        assert len(decoded(units)) == 3
    assert [record.getMessage().split(": ")[1] for record in caplog.records] == ["h264_rkmpp", "h264_v4l2m2m"]


def test_an_encoder_that_takes_only_nv12_gets_it_and_the_colours_are_right(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(_CODECS, "libx264", dataclasses.replace(_CODECS["libx264"], formats=("nosuch", "nv12")))
    encoder, picture = Encoder(CONFIG), av.VideoFrame(640, 360, "yuv420p")
    for plane, shade in zip(picture.planes, (90, 60, 200), strict=True):
        plane.update(bytes([shade]) * plane.buffer_size)

    units = [unit for index in range(3) for unit in encoder.encode(picture, index * 33_333)]
    encoder.request_keyframe()
    units += encoder.encode(picture, 100_000)

    assert [unit.keyframe for unit in units] == [True, False, False, True]
    assert [unit.pts_us for unit in units] == [0, 33_333, 66_666, 100_000]
    seen = [bytes(plane)[0] for plane in decoded(units)[-1].planes]
    assert seen == pytest.approx([90, 60, 200], abs=2)


def test_no_encoder_at_all_is_a_permanent_error_that_names_each() -> None:
    encoder = Encoder(CONFIG, codecs=("h264_v4l2m2m",))

    with pytest.raises(PermanentCaptureError, match=r"no H\.264 encoder takes 640x360.*h264_v4l2m2m"):
        _encoded(encoder, Restless(), 0, 1)


def test_an_encoder_is_closed_before_it_is_opened_again(monkeypatch: pytest.MonkeyPatch) -> None:
    def open_contexts() -> int:
        return sum(isinstance(thing, av.VideoCodecContext) for thing in gc.get_objects())

    create, holders = av.CodecContext.create, list[int]()

    def counted(*arguments: object) -> object:
        holders.append(open_contexts())
        return create(*arguments)  # type: ignore[arg-type]

    gc.collect()
    monkeypatch.setattr(av.CodecContext, "create", counted)
    encoder, picture = Encoder(CONFIG), Restless()
    monkeypatch.setattr(encoder, "_follows", lambda bitrate_bps: False)
    _encoded(encoder, picture, 0, 2)
    encoder.set_bitrate(400_000)
    _encoded(encoder, picture, 2, 2)

    assert holders == [holders[0]] * 2
    assert open_contexts() == holders[0] + 1

"""The encoders of this board, each through the agent's own Encoder, judged by their bits."""

from __future__ import annotations

import itertools

import av
import pytest

from agent.capture.encoder import Encoder
from agent.capture.source import PermanentCaptureError
from agent.config import CameraConfig
from agent.media import annexb
from agent.media.access_unit import AccessUnit
from agent.probe.encoders import CODECS
from agent.probe.video import nodes
from tests.agent.capture.test_encoder import Restless
from tests.agent.capture.watching import decoded

FPS = 30
CONFIG = CameraConfig(width=640, height=360, fps=FPS, bitrate_bps=1_000_000, keyframe_interval_s=60)


class Line:
    """An encoder that is fed picture by picture; a board's own gives each some pictures later."""

    def __init__(self, codec: str) -> None:
        self.encoder = Encoder(CONFIG, codecs=(codec,))
        self.fed = 0
        self.units: list[AccessUnit] = []
        self._picture = Restless()

    def feed(self, pictures: int) -> None:
        for _ in range(pictures):
            self.units += self.encoder.encode(self._picture.next(), self.fed * 1_000_000 // FPS)
            self.fed += 1

    def number(self, unit: AccessUnit) -> int:
        """Say the how-many-eth picture a unit is."""
        return round(unit.pts_us * FPS / 1_000_000)


@pytest.fixture(params=CODECS)
def line(request: pytest.FixtureRequest) -> Line:
    codec = request.param
    if codec not in av.codecs_available:
        pytest.skip(f"{codec}: this FFmpeg does not have it")
    if codec == "h264_v4l2m2m" and not any(node.role == "encoder" for node in nodes()):
        pytest.skip(f"{codec}: no /dev/video* encodes H.264")
    line = Line(codec)
    try:
        line.feed(1)
    except PermanentCaptureError as error:
        if codec == "libx264":  # which every board has
            raise
        pytest.skip(f"{codec}: {error}")
    return line


def test_a_keyframe_comes_within_two_pictures_of_the_request_and_only_one(line: Line) -> None:
    line.feed(10)
    asked_at = line.fed
    line.encoder.request_keyframe()
    line.feed(30)

    keyframes = [line.number(unit) for unit in line.units if unit.keyframe]
    assert keyframes[0] == 0
    assert len(keyframes) == 2
    assert asked_at <= keyframes[1] <= asked_at + 1


def test_every_keyframe_has_its_parameter_sets_before_it(line: Line) -> None:
    for _ in range(3):
        line.feed(10)
        line.encoder.request_keyframe()
    line.feed(20)

    keyframes = [unit for unit in line.units if unit.keyframe]
    assert len(keyframes) >= 3
    for unit in keyframes:
        assert [annexb.nal_type(part) for part in unit.units][:2] == [annexb.SPS, annexb.PPS]


def test_a_new_bitrate_is_there_within_a_second_and_leaves_no_gap(line: Line) -> None:
    line.feed(89)
    line.encoder.set_bitrate(300_000)
    line.feed(120)

    numbers = [line.number(unit) for unit in line.units]
    assert numbers == list(range(len(numbers)))
    after = [unit for unit in line.units if line.number(unit) >= 120]
    assert sum(len(unit.data) for unit in after) * 8 * FPS / len(after) == pytest.approx(300_000, rel=0.35)


def test_the_pictures_come_in_their_order_as_constrained_baseline_that_decodes(line: Line) -> None:
    line.feed(40)

    assert all(before.pts_us < after.pts_us for before, after in itertools.pairwise(line.units))  # no B frames
    sps = next(part for part in line.units[0].units if annexb.nal_type(part) == annexb.SPS)
    assert (sps[1], bool(sps[2] & 0x40)) == (66, True)
    assert len(decoded(line.units)) == len(line.units)

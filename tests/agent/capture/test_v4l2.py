"""The V4L2 source without a V4L2 driver: its errors, and its two paths with a file where the camera would be.

With a driver it runs in tests/guest.
"""

from __future__ import annotations

import errno
import itertools
import time
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from pathlib import Path

import av
import pytest

from agent.capture import devices, v4l2
from agent.capture.modes import Chosen
from agent.capture.reader import Taken
from agent.capture.source import PermanentCaptureError, TemporaryCaptureError
from agent.capture.v4l2 import V4l2, capture_error
from agent.config import CameraConfig
from agent.media.access_unit import AccessUnit
from tests.agent.capture.watching import decoded
from tests.kit import clips

CONFIG = CameraConfig(source="v4l2", width=640, height=360, fps=25, bitrate_bps=1_000_000)
STARTED_US = 77_000_000


class Played:
    """The pictures of a file, where those of a camera would be."""

    def __init__(self, path: Path) -> None:
        with av.open(path) as container:
            stream = container.streams.video[0]
            fourcc = {"h264": "H264", "mjpeg": "MJPG"}[stream.codec_context.name]
            self.chosen = Chosen(fourcc, stream.width, stream.height, 25, "a file")
            self._pictures = [bytes(packet) for packet in container.demux(video=0) if packet.size]
        self.stride = 0
        self.controls: list[tuple[int, int]] = []

    def pictures(self, stopped: Callable[[], bool], silent_s: float) -> Iterator[Taken]:
        for index, picture in enumerate(self._pictures):
            yield Taken(memoryview(picture), STARTED_US + index * 40_000)

    def set_control(self, control: int, value: int) -> None:
        self.controls.append((control, value))


def _played(path: Path, *, sub_wanted: bool = False) -> tuple[V4l2, list[AccessUnit]]:
    """Run the source with the file at `path` as its camera, to the end of the file."""
    source = V4l2(CONFIG, Path("/dev/video0"), open_pictures=lambda *asked: nullcontext(Played(path)))
    units: list[AccessUnit] = []
    source.want_sub(sub_wanted)
    with pytest.raises(TemporaryCaptureError, match="/dev/video0: the camera gives no more pictures"):
        source.run(units.append)
    return source, units


def test_a_cameras_own_h264_goes_out_as_it_is(tmp_path: Path) -> None:
    source, units = _played(clips.remuxed(tmp_path / "camera.h264", pictures=20))

    assert "its own H.264" in source.name
    assert len(decoded(units)) == len(units) == 20
    assert units[0].keyframe
    assert units[0].pts_us == 0


def test_motion_jpeg_is_encoded_picture_by_picture_with_the_cameras_own_timestamps(tmp_path: Path) -> None:
    source, units = _played(clips.mjpeg(tmp_path / "camera.mkv", pictures=10))

    assert source.name.endswith("MJPG to libx264")
    assert len(decoded(units)) == len(units) == 10
    assert units[0].keyframe
    assert [unit.pts_us for unit in units] == [index * 40_000 for index in range(10)]


def test_motion_jpeg_has_a_sub_stream_of_the_same_pictures(tmp_path: Path) -> None:
    source, units = _played(clips.mjpeg(tmp_path / "camera.mkv", pictures=10), sub_wanted=True)
    main, sub = ([unit for unit in units if unit.stream == stream] for stream in ("main", "sub"))

    assert source.has_sub
    assert sub[0].keyframe
    assert [unit.pts_us for unit in sub] == [unit.pts_us for unit in main]
    assert [(frame.width, frame.height) for frame in decoded(sub)] == [(320, 180)] * 10


def test_a_cameras_own_h264_has_no_sub_stream(tmp_path: Path) -> None:
    source, units = _played(clips.remuxed(tmp_path / "camera.h264", pictures=5), sub_wanted=True)

    assert not source.has_sub
    assert {unit.stream for unit in units} == {"main"}


def test_a_keyframe_and_a_bitrate_are_asked_of_the_camera_that_encodes_by_itself(tmp_path: Path) -> None:
    camera = Played(clips.remuxed(tmp_path / "camera.h264", pictures=5))
    source = V4l2(CONFIG, Path("/dev/video0"), open_pictures=lambda *asked: nullcontext(camera))
    source.request_keyframe()
    source.set_bitrate(300_000)
    with pytest.raises(TemporaryCaptureError):
        source.run(lambda unit: None)

    assert camera.controls == [(devices.FORCE_KEYFRAME, 1), (devices.BITRATE, 300_000)]


def test_a_picture_that_is_cut_short_is_left_out(tmp_path: Path) -> None:
    whole = clips.mjpeg(tmp_path / "camera.mjpeg", pictures=6).read_bytes()
    third = [at for at in range(len(whole)) if whole.startswith(b"\xff\xd8\xff", at)][2]
    damaged = tmp_path / "damaged.mjpeg"
    damaged.write_bytes(whole[: third + 2] + b"\xff\xd9" + whole[whole.index(b"\xff\xd9", third) + 2 :])

    _, units = _played(damaged)

    assert len(units) == 5
    assert all(before.pts_us < after.pts_us for before, after in itertools.pairwise(units))


def test_a_source_stopped_before_its_run_opens_nothing() -> None:
    source = V4l2(CONFIG, Path("/dev/video0"), open_pictures=lambda *asked: pytest.fail("it was opened"))
    source.stop()

    source.run(lambda unit: pytest.fail("a picture came"))


def test_a_missing_camera_is_worth_trying_again(tmp_path: Path) -> None:
    with pytest.raises(TemporaryCaptureError, match="no such device; plug the camera in") as missing:
        V4l2(CONFIG, tmp_path / "video7").run(lambda unit: None)

    assert str(tmp_path / "video7") in str(missing.value)


@pytest.mark.parametrize("device", [Path("/dev/null"), Path(__file__)])
def test_what_is_no_camera_never_becomes_one(device: Path) -> None:
    with pytest.raises(PermanentCaptureError, match=r"this is no camera; .*v4l2-ctl --list-devices"):
        V4l2(CONFIG, device).run(lambda unit: None)


def test_each_error_of_a_device_says_in_one_line_what_to_do() -> None:
    device = Path("/dev/video0")
    permanent = {errno.EACCES: "group video", errno.EINVAL: "--list-formats-ext"}
    temporary = {
        errno.EBUSY: "another program",
        errno.ENOSPC: "USB bus",
        errno.ENODEV: "plug it in again",
        errno.EIO: "Input/output error",
    }
    for code, words in permanent.items():
        error = capture_error(device, OSError(code, "text"))
        assert isinstance(error, PermanentCaptureError)
        assert words in str(error)
    for code, words in temporary.items():
        error = capture_error(device, OSError(code, "Input/output error"))
        assert isinstance(error, TemporaryCaptureError)
        assert words in str(error)


def test_a_camera_whose_pictures_lead_to_nothing_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(v4l2, "FRUITLESS_S", 0.05)
    camera = Played(clips.mjpeg(tmp_path / "camera.mkv", pictures=1))
    camera._pictures = [b"\xff\xd8 cut short"] * 1000
    played = camera.pictures

    def slowly(stopped: Callable[[], bool], silent_s: float) -> Iterator[Taken]:
        for picture in played(stopped, silent_s):
            time.sleep(0.001)
            yield picture

    camera.pictures = slowly  # type: ignore[method-assign]
    source = V4l2(CONFIG, Path("/dev/video0"), open_pictures=lambda *asked: nullcontext(camera))
    with pytest.raises(TemporaryCaptureError, match="none can be shown"):
        source.run(lambda unit: None)


def test_viewers_learn_no_serial_number_of_a_camera(tmp_path: Path) -> None:
    link = tmp_path / "usb-046d_HD_Pro_Webcam_C920_1A2B3C4F-video-index0"
    assert "1A2B3C4F" not in V4l2(CONFIG, link).name
    link.symlink_to("/dev/video3")
    assert V4l2(CONFIG, link).name.startswith("v4l2 video3 ")

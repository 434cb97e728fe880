from __future__ import annotations

import dataclasses
import gc
import os
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from agent.capture.camera_controls import Range, UnfitControl
from agent.capture.choose import Choice
from agent.capture.picamera import Picamera
from agent.capture.picamera_open import cameras
from agent.capture.source import PermanentCaptureError, TemporaryCaptureError
from agent.config import CameraConfig
from agent.media import annexb
from tests.agent.capture.watching import Watch, decoded, watched
from tests.board import chip, workarounds

pytestmark = pytest.mark.board
CONFIG = CameraConfig(source="picamera", width=640, height=360, bitrate_bps=1_000_000)
LINES = dataclasses.replace(CONFIG, width=320, height=240)


def refused(config: CameraConfig, wanted: str = "Virtual0") -> str:
    """How a run ends that cannot have the camera as configured."""
    with watched(Picamera(config, wanted)) as watch:
        assert watch.ended(within_s=20)
    assert isinstance(watch.error, PermanentCaptureError)
    text = str(watch.error)
    assert "\n" not in text
    return text


def pictures(watch: Watch, more: int = 3) -> None:
    count = len(watch.units) + more
    watch.wait(lambda units: len(units) >= count, within_s=20)


def test_the_environment_sees_debians_libcamera_and_an_av_of_its_own() -> None:
    # As docs/how-to/install-on-a-board.md has it; Debian's older av is installed as well, for picamera2's sake.
    import av
    import libcamera

    assert Path("/usr/lib/python3/dist-packages/av").is_dir()
    assert Path(libcamera.__file__).is_relative_to("/usr/lib")
    assert Path(av.__file__).is_relative_to(sys.prefix)
    assert int(av.__version__.partition(".")[0]) >= 16


def test_both_cameras_are_there_in_an_order_that_stays() -> None:
    assert [(camera.number, camera.id, camera.model) for camera in cameras()] == [
        (0, "Virtual1", "Lines"),
        (1, "Virtual0", "Bars"),
    ]


@pytest.mark.parametrize("wanted", ["Virtual1", "Lines", "lines", "0", ""])
def test_a_camera_is_chosen_by_id_sensor_or_number(wanted: str) -> None:
    source, why = Choice(dataclasses.replace(LINES, source=f"picamera:{wanted}".rstrip(":")))()
    assert why == "picamera Lines 320x240 at 30 fps: as configured"

    with watched(source) as watch:
        pictures(watch)
    assert (decoded(watch.units)[0].width, decoded(watch.units)[0].height) == (320, 240)
    assert source.name == "picamera Lines 320x240 at 30 fps, libx264"


def test_a_camera_that_is_not_there_may_still_come() -> None:
    with pytest.raises(TemporaryCaptureError) as missing:
        Picamera(CONFIG, "imx219")
    assert str(missing.value) == (
        "libcamera sees no camera imx219, but Lines (Virtual1), Bars (Virtual0); plug it in, or set camera.source"
    )


def test_auto_takes_the_first_of_libcameras_cameras() -> None:
    assert Choice(LINES.__class__(width=320, height=240))()[1] == (
        "auto: picamera Lines 320x240 at 30 fps, the first camera that libcamera sees"
    )


def test_two_cameras_run_at_once() -> None:
    with watched(Picamera(CONFIG, "Bars")) as bars, watched(Picamera(LINES, "Lines")) as lines:
        for watch in (bars, lines):
            watch.wait(lambda units: len(units) >= 20, within_s=20)


def test_the_bitstream_is_what_the_sdp_says() -> None:
    with watched(Picamera(CONFIG, "Bars")) as watch:
        watch.wait(lambda units: len(units) >= 3, within_s=20)
        watch.source.request_keyframe()
        units = watch.wait(lambda units: sum(unit.keyframe for unit in units) >= 2, within_s=20)

    for unit in units:
        parts = list(unit.units)
        assert not any(map(annexb.is_b_slice, parts))
        if unit.keyframe:
            sps = next(part for part in parts if annexb.nal_type(part) == annexb.SPS)
            assert [annexb.nal_type(part) for part in parts[:2]] == [annexb.SPS, annexb.PPS]
            assert sps[1] == 0x42  # baseline
            assert sps[2] & 0x40  # constrained
            assert sps[3] <= 0x1F  # level 3.1


def test_the_clock_is_the_cameras_own_and_both_streams_share_it() -> None:
    source = Picamera(CONFIG, "Bars")
    source.want_sub(True)
    with watched(source) as watch:
        units = watch.wait(lambda units: len(units) >= 60, within_s=20)

    main, sub = ([unit.pts_us for unit in units if unit.stream == name] for name in ("main", "sub"))
    assert main[:20] == sub[:20]
    arrived_s = watch.times[len(units) - 1] - watch.times[0]
    assert (units[-1].pts_us - units[0].pts_us) / 1e6 == pytest.approx(arrived_s, abs=0.5)


def test_a_size_that_the_camera_has_not_is_refused_with_what_it_would_give() -> None:
    assert refused(dataclasses.replace(CONFIG, width=1000, height=500)).startswith("Bars (Virtual0) takes no 1000x500")


@pytest.mark.parametrize(
    ("setting", "value", "why"),
    [
        ("fps", 90, "camera.fps = 90: this camera takes 30 to 60"),
        ("gain", 2.0, "camera.gain = 2.0: this camera has no such control (AnalogueGain)"),
        ("zoom", 2.0, "camera.zoom = 2.0: this camera has no such control (ScalerCrop)"),
        ("focus_dpt", 1.0, "camera.focus_dpt = 1.0: this camera has no such control (LensPosition)"),
        ("white_balance", "cloudy", "camera.white_balance = 'cloudy': this camera has no such control (AwbMode)"),
    ],
)
def test_a_setting_that_the_camera_has_not_is_refused(setting: str, value: object, why: str) -> None:
    assert refused(dataclasses.replace(CONFIG, **{setting: value})) == f"Bars (Virtual0): {why}"


def test_a_setting_changes_while_the_camera_runs_within_its_range() -> None:
    source = Picamera(CONFIG, "Bars")
    with pytest.raises(UnfitControl, match="does not run"):
        source.set_control("fps", 30)
    with watched(source) as watch:
        pictures(watch)
        ranges = source.ranges()
        assert ranges.keys() == {"fps"}
        assert (round(ranges["fps"].low), round(ranges["fps"].high)) == (30, 60)
        source.set_control("fps", 60)
        for setting, value, why in (
            ("fps", 10, "this camera takes 30 to 60"),
            ("fps", "fast", "is not allowed: 1 to 120"),
            ("gain", 2.0, "no such control"),
            ("hflip", True, "cannot be set while the camera runs"),
        ):
            with pytest.raises(UnfitControl, match=why):
                source.set_control(setting, value)
        pictures(watch)
    assert isinstance(ranges["fps"], Range)


def test_a_chip_that_is_taken_is_waited_for_and_leaves_nothing_open(monkeypatch: pytest.MonkeyPatch) -> None:
    chip.fit(monkeypatch, contexts=0)
    for turn in range(3):
        if turn == 1:
            descriptors = resources()[1]
        with watched(Picamera(CONFIG, "Bars")) as watch:
            assert watch.ended(within_s=20)
        assert isinstance(watch.error, TemporaryCaptureError)
        assert "the board's encoder cannot be used (Device or resource busy)" in str(watch.error)
    assert resources()[1] == descriptors


def test_a_chip_with_room_for_one_stream_gives_the_main_one(monkeypatch: pytest.MonkeyPatch) -> None:
    chip.fit(monkeypatch, contexts=1)
    source = Picamera(CONFIG, "Bars")
    source.want_sub(True)
    with watched(source) as watch:
        pictures(watch, 10)
        assert not source.has_sub
    assert {unit.stream for unit in watch.units} == {"main"}


@contextmanager
def held() -> Iterator[None]:
    """Somebody else has the camera: libcamera itself says so."""
    import libcamera

    camera = libcamera.CameraManager.singleton().get("Virtual0")
    camera.acquire()
    try:
        yield
    finally:
        camera.release()


@contextmanager
def among(faulty: set[str]) -> Iterator[None]:
    """The camera fills no buffers any more (workarounds.stalled), or takes none (workarounds.gone)."""
    faulty.add("Virtual0")
    try:
        yield
    finally:
        faulty.discard("Virtual0")


def busy_once() -> None:
    with held(), watched(Picamera(CONFIG, "Bars")) as watch:
        assert watch.ended(within_s=20)
    assert isinstance(watch.error, TemporaryCaptureError)
    assert str(watch.error).startswith("Bars (Virtual0) is busy: ")


def stalled_once() -> None:
    # Pictures first, as when a cable comes loose; a second without any is a stall here.
    with watched(Picamera(CONFIG, "Bars", stall_s=1)) as watch:
        pictures(watch)
        with among(workarounds.stalled):
            assert watch.ended(within_s=20)
    assert isinstance(watch.error, TemporaryCaptureError)
    assert str(watch.error).startswith("Bars (Virtual0) gave no picture for 1 s: ")


def gone_once() -> None:
    with watched(Picamera(CONFIG, "Bars")) as watch:
        pictures(watch)
        with among(workarounds.gone):
            assert watch.ended(within_s=20)
    assert isinstance(watch.error, TemporaryCaptureError)
    assert str(watch.error).startswith("Bars (Virtual0) failed (Failed to queue request: No such device): ")


def gone_before_the_first_picture_once() -> None:
    with among(workarounds.gone), watched(Picamera(CONFIG, "Bars")) as watch:
        assert watch.ended(within_s=20)
    assert isinstance(watch.error, TemporaryCaptureError)


def stopped_once() -> None:
    with watched(Picamera(CONFIG, "Bars")) as watch:
        pictures(watch, 1)
    assert watch.error is None


def stopped_in_a_stall_once() -> None:
    with among(workarounds.stalled), watched(Picamera(CONFIG, "Bars")) as watch:
        time.sleep(0.05)
        watch.source.stop()
        assert watch.ended(within_s=20)
    assert watch.error is None


def resources() -> tuple[set[threading.Thread], int, int]:
    """Threads, open descriptors, and bytes of memory that this process has in use."""
    gc.collect()
    resident = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * os.sysconf("SC_PAGE_SIZE")
    return set(threading.enumerate()), len(list(Path("/proc/self/fd").iterdir())), resident


@pytest.mark.timeout(600)
def test_fifty_faults_end_in_pictures_each_time_and_leave_nothing_behind() -> None:
    faults = (
        stopped_once,
        busy_once,
        stalled_once,
        gone_once,
        gone_before_the_first_picture_once,
        stopped_in_a_stall_once,
    )
    for turn in range(56):
        if turn == 6:  # each fault once: what it loads stays loaded
            threads, descriptors, memory = resources()
        faults[turn % len(faults)]()
        with watched(Picamera(CONFIG, "Bars")) as watch:
            pictures(watch, 2)

    threads_now, descriptors_now, memory_now = resources()
    assert threads_now == threads
    assert descriptors_now == descriptors
    assert memory_now - memory < 10_000_000  # of 100 runs with two megabytes of buffers each

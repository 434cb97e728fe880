"""What every Source keeps, and the fake as well.

v4l2 and picamera are not here: without a driver they have no picture. tests/guest runs this contract on V4L2 with a
driver, and tests/board on picamera2 with virtual cameras; hw-tests does on a board. What they do without one stands in
test_v4l2.py and test_picamera.py.
"""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from agent.capture.clip import Clip
from agent.capture.pattern import Pattern
from agent.capture.rtsp import Rtsp
from agent.capture.source import Source
from agent.config import CameraConfig
from agent.media import annexb
from agent.media.access_unit import START_CODE, AccessUnit, StreamName
from tests.agent.capture.scripted import Scripted
from tests.agent.capture.watching import decoded, watched
from tests.kit import clips
from tests.kit.ip_camera import ip_camera

PATTERN = CameraConfig(source="pattern", width=640, height=360, fps=30, bitrate_bps=1_000_000)

# The clips have a keyframe every 20 pictures, so that loops and jumps happen while a test looks.
MAKERS: dict[str, Callable[[Path], Callable[[], Source]]] = {
    "pattern": lambda directory: lambda: Pattern(PATTERN),
    "clip of an MP4 file": lambda directory: _clip(directory / "clip.mp4"),
    "clip of a raw Annex B file": lambda directory: _clip(directory / "clip.h264"),
    "clip of an MPEG-TS file": lambda directory: _clip(directory / "clip.ts"),
    "the scripted fake": lambda directory: Scripted,
}
IP_CAMERA = "an IP camera over RTSP"
RATES = {"pattern": 30, "the scripted fake": 30}


def _clip(path: Path) -> Callable[[], Source]:
    clips.remuxed(path, pictures=20, passes=2)
    return lambda: Clip(path)


def _open_files() -> list[str]:
    return sorted(path.name for path in Path("/proc/self/fd").iterdir())


@pytest.fixture(scope="module")
def ip_camera_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    file = clips.remuxed(tmp_path_factory.mktemp("camera") / "camera.mp4", pictures=20, passes=100)
    with ip_camera(file) as camera:
        yield camera.url


@pytest.fixture(params=[*MAKERS, IP_CAMERA])
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def make(kind: str, tmp_path: Path, request: pytest.FixtureRequest) -> Callable[[], Source]:
    if kind != IP_CAMERA:
        return MAKERS[kind](tmp_path)
    url = request.getfixturevalue("ip_camera_url")
    return lambda: Rtsp(CameraConfig(source=url))


def test_the_first_picture_comes_soon_as_a_keyframe_with_its_parameter_sets(make: Callable[[], Source]) -> None:
    with watched(make()) as watch:
        first = watch.wait(lambda units: len(units) >= 1, within_s=3)[0]

    kinds = [annexb.nal_type(unit) for unit in first.units]
    assert first.keyframe
    assert kinds[:2] == [annexb.SPS, annexb.PPS]
    assert annexb.IDR in kinds


def test_what_comes_is_annex_b_that_decodes_to_every_picture(make: Callable[[], Source]) -> None:
    with watched(make()) as watch:
        units = watch.wait(lambda units: len(units) >= 45)

    assert len(decoded(units)) == len(units)
    assert all(unit.data.startswith(START_CODE) for unit in units)
    for unit in units:
        kinds = {annexb.nal_type(part) for part in unit.units}
        assert unit.keyframe == (annexb.IDR in kinds)


@pytest.mark.alone
def test_pts_rises_strictly_at_the_nominal_rate_and_keeps_to_the_clock(kind: str, make: Callable[[], Source]) -> None:
    fps = RATES.get(kind, 25)
    with watched(make()) as watch:
        watch.wait(lambda units: units[-1:] != [] and units[-1].pts_us >= 2_000_000, within_s=5)

    stamps = [unit.pts_us for unit in watch.units]
    steps = [after - before for before, after in itertools.pairwise(stamps)]
    assert min(steps) > 0
    assert sorted(steps)[len(steps) // 2] == pytest.approx(1_000_000 / fps, rel=0.02)
    elapsed_s = watch.times[-1] - watch.times[0]
    assert (stamps[-1] - stamps[0]) / 1e6 == pytest.approx(elapsed_s, abs=0.2)


def test_a_keyframe_comes_within_three_pictures_of_the_request(make: Callable[[], Source]) -> None:
    if isinstance(make(), Rtsp):
        pytest.skip("RTSP has no word for it: what comes is the camera's own next keyframe, see test_rtsp.py")
    with watched(make()) as watch:
        asked_at = len(watch.wait(lambda units: len(units) >= 5))
        watch.source.request_keyframe()
        units = watch.wait(lambda units: len(units) >= asked_at + 3)
        later = watch.wait(lambda units: len(units) >= asked_at + 12)

    assert sum(unit.keyframe for unit in units[asked_at:]) == 1
    steps = [after.pts_us - before.pts_us for before, after in itertools.pairwise(later)]
    assert min(steps) > 0
    assert max(steps) < 150_000
    assert len(decoded(later)) == len(later)


def test_a_new_bitrate_leaves_no_gap(make: Callable[[], Source]) -> None:
    with watched(make()) as watch:
        watch.wait(lambda units: len(units) >= 5)
        for bitrate_bps in (300_000, 100_000_000, 500_000):
            watch.source.set_bitrate(bitrate_bps)
            count = len(watch.units) + 5
            watch.wait(lambda units, count=count: len(units) >= count)  # type: ignore[misc]

    steps = [after.pts_us - before.pts_us for before, after in itertools.pairwise(watch.units)]
    assert min(steps) > 0
    assert max(steps) < 200_000
    assert len(decoded(watch.units)) == len(watch.units)


def test_stop_ends_the_run_and_leaves_nothing_open(make: Callable[[], Source]) -> None:
    with watched(make()) as watch:  # what a first run of any kind loads stays loaded
        watch.wait(lambda units: len(units) >= 1)
    threads, open_files = set(threading.enumerate()), _open_files()

    with watched(make()) as watch:
        watch.wait(lambda units: len(units) >= 3)
        watch.source.stop()
        watch.source.stop()
        assert watch.ended(within_s=1)

    assert watch.error is None
    assert set(threading.enumerate()) == threads
    assert _open_files() == open_files


def test_a_source_stopped_before_its_run_returns_at_once_without_a_picture(make: Callable[[], Source]) -> None:
    source = make()
    source.stop()
    with watched(source) as watch:
        assert watch.ended(within_s=1)

    assert watch.units == []
    assert watch.error is None


def test_a_new_source_runs_after_the_old_one_stopped(make: Callable[[], Source]) -> None:
    for _ in range(2):
        with watched(make()) as watch:
            units = watch.wait(lambda units: len(units) >= 2)
        assert units[0].keyframe
        assert units[0].pts_us == 0


@pytest.fixture(params=["pattern"])
def with_sub(request: pytest.FixtureRequest, tmp_path: Path) -> Source:
    source = MAKERS[request.param](tmp_path)()
    assert source.has_sub
    return source


def test_who_has_no_sub_stream_goes_on_with_the_main_one_when_two_are_wanted(make: Callable[[], Source]) -> None:
    source = make()
    source.want_sub(True)
    with watched(source) as watch:
        units = watch.wait(lambda units: len(units) >= 6)

    assert {unit.stream for unit in units} == ({"main", "sub"} if source.has_sub else {"main"})


def _of(stream: StreamName, units: list[AccessUnit]) -> list[AccessUnit]:
    return [unit for unit in units if unit.stream == stream]


def test_a_sub_stream_begins_with_a_keyframe_and_has_the_same_pictures_smaller(with_sub: Source) -> None:
    with watched(with_sub) as watch:
        watch.wait(lambda units: len(units) >= 5)
        watch.source.want_sub(True)
        units = watch.wait(lambda units: len(_of("sub", units)) >= 10)
        watch.source.want_sub(False)
        count = len(watch.wait(lambda units: len(_of("sub", units)) >= 10)) + 2
        later = watch.wait(lambda units: len(units) >= count + 10)[count:]

    main, sub = _of("main", units), _of("sub", units)
    assert sub[0].keyframe
    assert not any(unit.keyframe for unit in main[1:])
    # Two encoders of a chip are done with a picture one after the other, the smaller one first.
    assert {unit.pts_us for unit in sub if unit.pts_us <= main[-1].pts_us} <= {unit.pts_us for unit in main}
    assert decoded(sub)[0].width == decoded(main)[0].width // 2
    assert {unit.stream for unit in later} == {"main"}


def test_what_is_asked_of_one_stream_does_not_touch_the_other(with_sub: Source) -> None:
    with_sub.want_sub(True)
    with watched(with_sub) as watch:
        watch.wait(lambda units: len(_of("sub", units)) >= 3)
        watch.source.request_keyframe("sub")
        watch.source.set_bitrate(150_000, "sub")
        units = watch.wait(lambda units: len(_of("sub", units)) >= 20)

    assert sum(unit.keyframe for unit in _of("sub", units)) == 2
    assert sum(unit.keyframe for unit in _of("main", units)) == 1
    for stream in ("main", "sub"):
        stamps = [unit.pts_us for unit in _of(stream, units)]
        assert max(after - before for before, after in itertools.pairwise(stamps)) < 200_000

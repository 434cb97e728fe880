"""An IP camera: GStreamer's RTSP server with real footage."""

from __future__ import annotations

import itertools
import logging
import threading
import traceback
from collections.abc import Callable
from pathlib import Path

import av
import pytest

from agent.capture import rtsp
from agent.capture.rtsp import Rtsp
from agent.capture.source import CaptureError, PermanentCaptureError, TemporaryCaptureError
from agent.config import CameraConfig, ConfigError
from agent.config_file import parse
from tests.agent.capture.watching import decoded, watched
from tests.kit import clips
from tests.kit.ip_camera import IpCamera, ip_camera

PASSWORD = "s3cret/w@rd:%"


@pytest.fixture
def footage(tmp_path: Path) -> Path:
    return clips.remuxed(tmp_path / "camera.mp4", pictures=20, passes=50)


@pytest.fixture
def login(tmp_path: Path) -> Path:
    path = tmp_path / "rtsp.toml"
    path.write_text(f'username = "viewer"\npassword = "{PASSWORD}"\n')
    return path


def _fault(source: Rtsp) -> CaptureError:
    with pytest.raises(CaptureError) as raised:
        source.run(lambda unit: None)
    return raised.value


def test_the_cameras_own_pictures_come_with_its_own_clock(footage: Path) -> None:
    with ip_camera(footage) as camera, watched(Rtsp(CameraConfig(source=camera.url))) as watch:
        units = watch.wait(lambda units: len(units) >= 45, within_s=10)

    assert watch.source.name == "rtsp 1280x720, as it is"  # viewers learn no address
    assert len(decoded(units)) == len(units)
    steps = [after.pts_us - before.pts_us for before, after in itertools.pairwise(units)]
    assert set(steps[1:]) == {40_000}  # FFmpeg knows no timestamp of the first one
    assert sum(unit.keyframe for unit in units) in {2, 3}  # its own, one in twenty pictures


@pytest.mark.parametrize("kind", ["basic", "digest"])
def test_a_login_is_shown_to_the_camera_and_to_nobody_else(
    kind: str, footage: Path, login: Path, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.DEBUG)
    faults = []
    with ip_camera(footage, "viewer", PASSWORD, kind) as camera:
        with watched(Rtsp(CameraConfig(source=camera.url, rtsp_login=login))) as watch:
            watch.wait(lambda units: len(units) >= 3, within_s=10)
        faults.append(_fault(Rtsp(CameraConfig(source=f"{camera.url}/elsewhere", rtsp_login=login))))
        camera.switch_off()
        faults.append(_fault(Rtsp(CameraConfig(source=camera.url, rtsp_login=login))))

    told = caplog.text + "".join(capfd.readouterr()) + watch.source.name
    told += "".join(line for fault in faults for line in traceback.format_exception(fault))
    for canary in (PASSWORD, "s3cret"):
        assert canary not in told


def test_a_wrong_login_is_not_tried_again(footage: Path, login: Path) -> None:
    with ip_camera(footage, "viewer", "another", "digest") as camera:
        wrong = _fault(Rtsp(CameraConfig(source=camera.url, rtsp_login=login)))
        missing = _fault(Rtsp(CameraConfig(source=camera.url)))

    assert isinstance(wrong, PermanentCaptureError)
    assert str(wrong) == "rtsp 127.0.0.1: the username or the password is wrong; see camera.rtsp_login"
    assert isinstance(missing, PermanentCaptureError)
    assert "a username and a password are wanted" in str(missing)


@pytest.mark.parametrize("content", ["password = 'half", "secret = 'x'", "username = 1\npassword = 'hidden'"])
def test_a_login_file_that_cannot_be_used_is_named_without_what_stands_in_it(content: str, tmp_path: Path) -> None:
    path = tmp_path / "rtsp.toml"
    path.write_text(content)

    fault = _fault(Rtsp(CameraConfig(source="rtsp://127.0.0.1/live", rtsp_login=path)))

    assert isinstance(fault, PermanentCaptureError)
    assert str(path) in str(fault)
    assert not any(word in str(fault) for word in ("half", "hidden"))


@pytest.mark.parametrize("scheme", ["rtsp", "RTSP", "rtsps", "rtsp ", "http"])
def test_an_address_with_a_password_in_it_is_refused_without_showing_it(scheme: str) -> None:
    document = {
        "identity": {"root": "r", "est": "https://e"},
        "broker": {"host": "b"},
        "camera": {"source": f"{scheme}://viewer:{PASSWORD}@camera/live"},
    }
    with pytest.raises(ConfigError, match="they belong into rtsp_login") as refused:
        parse(document)
    assert "s3cret" not in str(refused.value)


@pytest.mark.parametrize(
    ("befalls", "says"),
    [
        (IpCamera.switch_off, ("ended the connection",)),
        (IpCamera.freeze, ("the camera says nothing",)),
    ],
    ids=["power cut", "frozen"],
)
def test_a_camera_that_goes_away_ends_the_run_for_now(
    befalls: Callable[[IpCamera], None], says: tuple[str, ...], footage: Path
) -> None:
    with ip_camera(footage) as camera, watched(Rtsp(CameraConfig(source=camera.url))) as watch:
        watch.wait(lambda units: len(units) >= 3, within_s=10)
        befalls(camera)
        assert watch.ended(within_s=10)

    assert isinstance(watch.error, TemporaryCaptureError)
    assert any(part in str(watch.error) for part in says)


def test_a_camera_that_is_off_or_unknown_is_tried_again() -> None:
    off = _fault(Rtsp(CameraConfig(source="rtsp://127.0.0.1:1/live")))
    unknown = _fault(Rtsp(CameraConfig(source="rtsp://camera.invalid/live")))

    assert isinstance(off, TemporaryCaptureError)
    assert str(off) == "rtsp 127.0.0.1: Connection refused; is the camera on, and its address right?"
    assert isinstance(unknown, TemporaryCaptureError)
    assert "no such host" in str(unknown)


def test_what_webrtc_cannot_show_is_refused_with_the_setting_to_change(tmp_path: Path) -> None:
    with ip_camera(clips.remuxed(tmp_path / "b.mp4", pictures=50, passes=2, name="bikes.mp4")) as camera:
        b_frames = _fault(Rtsp(CameraConfig(source=camera.url)))
    with ip_camera(_h265(tmp_path / "h265.mp4")) as camera:
        h265 = _fault(Rtsp(CameraConfig(source=camera.url)))

    for fault, what in ((b_frames, "B frames"), (h265, "the camera sends hevc")):
        assert isinstance(fault, PermanentCaptureError)
        assert what in str(fault)
        assert "set it to H.264, no B frames and a keyframe each second or two" in str(fault)


def test_a_camera_without_keyframes_is_not_waited_for_without_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rtsp, "_LONGEST_WITHOUT_IDR_S", 1.0)
    with ip_camera(clips.remuxed(tmp_path / "long.mp4", pictures=125, passes=2)) as camera:
        fault = _fault(Rtsp(CameraConfig(source=camera.url)))

    assert isinstance(fault, TemporaryCaptureError)
    assert "no keyframe (IDR) for 1 s" in str(fault)


def _h265(path: Path) -> Path:
    with av.open(path, "w") as target:
        track = target.add_stream("libx265", rate=25, options={"x265-params": "log-level=none"})
        track.width, track.height, track.pix_fmt = 320, 180, "yuv420p"
        for _ in range(50):
            target.mux(track.encode(av.VideoFrame(320, 180, "yuv420p")))
        target.mux(track.encode())
    return path


def test_a_name_server_that_is_silent_holds_up_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rtsp, "_LOOKUP_S", 0.1)
    answers = threading.Event()
    monkeypatch.setattr(rtsp.socket, "getaddrinfo", lambda *question, **more: [()][answers.wait(10) :])

    fault = _fault(Rtsp(CameraConfig(source="rtsp://camera.lan/live")))
    answers.set()

    assert isinstance(fault, TemporaryCaptureError)
    assert str(fault) == "rtsp camera.lan: the name server says nothing; try the camera's address"

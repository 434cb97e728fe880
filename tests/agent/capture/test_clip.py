from __future__ import annotations

import itertools
from pathlib import Path

import av
import pytest

from agent.capture.clip import Clip
from agent.capture.source import PermanentCaptureError
from tests.agent.capture.watching import decoded, watched
from tests.kit import clips


@pytest.mark.parametrize("name", ["clip.mp4", "clip.h264", "clip.mkv", "clip.ts"])
def test_a_clip_goes_round_without_a_jump_in_its_timestamps(tmp_path: Path, name: str) -> None:
    clip = Clip(clips.remuxed(tmp_path / name, pictures=10))
    with watched(clip) as watch:
        units = watch.wait(lambda units: len(units) >= 35, within_s=5)

    assert [index for index, unit in enumerate(units) if unit.keyframe] == [0, 10, 20, 30]
    assert {after.pts_us - before.pts_us for before, after in itertools.pairwise(units)} <= {39_000, 40_000, 41_000}
    assert units[34].pts_us == pytest.approx(34 * 40_000, abs=2000)
    assert units[0].data == units[10].data == units[30].data
    assert len(decoded(units)) == len(units)


def test_what_is_played_is_the_file_byte_for_byte(tmp_path: Path) -> None:
    path = clips.remuxed(tmp_path / "clip.h264", pictures=8)
    with watched(Clip(path)) as watch:
        units = watch.wait(lambda units: len(units) >= 8)

    with av.open(path) as file:
        pictures = [frame.to_ndarray().tobytes() for frame in file.decode(video=0)]
    assert [frame.to_ndarray().tobytes() for frame in decoded(units[:8])] == pictures


def test_a_wanted_keyframe_is_the_next_one_in_the_file_at_once(tmp_path: Path) -> None:
    # A keyframe every 100 pictures is one every four seconds: nobody should wait for it.
    clip = Clip(clips.remuxed(tmp_path / "clip.mp4", pictures=100, passes=2))
    with watched(clip) as watch:
        asked_at = len(watch.wait(lambda units: len(units) >= 5))
        clip.request_keyframe()
        units = watch.wait(lambda units: len(units) >= asked_at + 5)

    keyframes = [index for index, unit in enumerate(units) if unit.keyframe]
    assert len(keyframes) == 2
    assert asked_at <= keyframes[1] <= asked_at + 2
    assert {after.pts_us - before.pts_us for before, after in itertools.pairwise(units)} == {40_000}


def test_a_wanted_keyframe_after_the_files_last_one_is_its_first(tmp_path: Path) -> None:
    clip = Clip(clips.remuxed(tmp_path / "clip.h264", pictures=100))
    with watched(clip) as watch:
        asked_at = len(watch.wait(lambda units: len(units) >= 5))
        clip.request_keyframe()
        units = watch.wait(lambda units: len(units) >= asked_at + 3)

    assert any(unit.keyframe for unit in units[asked_at:])
    assert len(decoded(units)) == len(units)


def test_a_clip_that_begins_in_the_middle_starts_with_its_first_keyframe(tmp_path: Path) -> None:
    whole = clips.remuxed(tmp_path / "whole.h264", pictures=10, passes=2).read_bytes()
    second_keyframe = whole.index(whole[:24], 1)
    middle = whole.rindex(b"\x00\x00\x00\x01", 0, second_keyframe)
    path = tmp_path / "clip.h264"
    path.write_bytes(whole[middle:])

    with watched(Clip(path)) as watch:
        units = watch.wait(lambda units: len(units) >= 12)

    assert units[0].keyframe
    assert units[0].pts_us == 0
    assert len(decoded(units)) == len(units)


def test_the_name_says_what_is_played(tmp_path: Path) -> None:
    clip = Clip(clips.remuxed(tmp_path / "garden.mp4", pictures=5))

    assert clip.name == "clip garden.mp4 1280x720 at 25 fps, as it is"


def _refused(path: Path) -> str:
    with pytest.raises(PermanentCaptureError) as refusal:
        Clip(path)
    message = str(refusal.value)
    assert "\n" not in message
    assert message.startswith(str(path))
    return message


def test_a_file_with_b_frames_is_refused_with_the_command_that_makes_a_good_one(tmp_path: Path) -> None:
    for path in (clips.footage("bikes.mp4"), clips.remuxed(tmp_path / "b.h264", pictures=20, name="bikes.mp4")):
        message = _refused(path)
        assert "has B frames" in message
        assert f"ffmpeg -i {path} -an -c:v libx264 -profile:v baseline" in message


def test_a_file_that_is_not_h264_is_refused_by_the_name_of_its_codec(tmp_path: Path) -> None:
    assert "holds mjpeg, not H.264" in _refused(clips.mjpeg(tmp_path / "clip.mkv", pictures=2))


def test_a_file_that_is_no_video_is_refused(tmp_path: Path) -> None:
    text = tmp_path / "a note.txt"
    text.write_text("not a film")

    assert "is no video file" in _refused(text)
    assert f"ffmpeg -i '{text}'" in _refused(text)
    assert "is no video file" in _refused(tmp_path)


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    assert "no such file" in _refused(tmp_path / "clip.mp4")


def test_a_damaged_file_is_refused(tmp_path: Path) -> None:
    whole = clips.remuxed(tmp_path / "clip.mp4", pictures=10).read_bytes()
    body = whole.index(b"mdat") + 4
    damaged = tmp_path / "damaged.mp4"
    damaged.write_bytes(whole[:body] + bytes(len(whole[body : body + 1000])) + whole[body + 1000 :])

    assert "is damaged" in _refused(damaged)


def test_a_file_that_goes_away_while_it_plays_ends_the_run_with_one_line(tmp_path: Path) -> None:
    path = clips.remuxed(tmp_path / "clip.mp4", pictures=5)
    with watched(Clip(path)) as watch:
        watch.wait(lambda units: len(units) >= 1)
        path.unlink()
        with pytest.raises(PermanentCaptureError, match="no such file"):
            watch.wait(lambda units: False)

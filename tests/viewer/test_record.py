"""Recordings, read back by ffprobe."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import textwrap
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import pytest

from tests.viewer.conftest import pictures
from viewer.errors import Fault, Usage
from viewer.reassembly import Unit
from viewer.record import Recorder, check_path

ROOT = Path(__file__).parents[2]


def probe(path: Path) -> dict[str, Any]:
    """The one stream of a file, as ffprobe reads it."""
    command = ["ffprobe", "-v", "error", "-count_frames", "-show_streams", "-show_format", "-of", "json", path]
    read = json.loads(subprocess.run(command, capture_output=True, check=True).stdout)
    (stream,) = read["streams"]
    return {**stream, "format": read["format"]}


def record(path: Path, units: list[Unit]) -> None:
    recorder = Recorder(path)
    for unit in units:
        recorder.write(unit)
    recorder.close()


@pytest.mark.parametrize("fps", [Fraction(30), Fraction(25), Fraction(15), Fraction(24), Fraction(30_000, 1001)])
def test_an_mp4_has_the_frame_rate_of_the_source(tmp_path: Path, fps: Fraction) -> None:
    record(tmp_path / "out.mp4", pictures(fps, 90))

    read = probe(tmp_path / "out.mp4")

    assert read["codec_name"] == "h264"
    assert (read["width"], read["height"]) == (320, 180)
    assert Fraction(read["r_frame_rate"]) == Fraction(read["avg_frame_rate"]) == fps
    assert int(read["nb_read_frames"]) == 90
    assert float(read["duration"]) == pytest.approx(float(90 / fps), abs=1e-3)


def test_a_matroska_file_has_the_frame_rate_of_the_source(tmp_path: Path) -> None:
    record(tmp_path / "out.mkv", pictures(Fraction(30), 90))

    read = probe(tmp_path / "out.mkv")

    assert Fraction(read["avg_frame_rate"]) == 30
    assert int(read["nb_read_frames"]) == 90


def test_a_raw_file_is_what_arrived_byte_for_byte(tmp_path: Path) -> None:
    units = pictures(Fraction(30), 10)

    record(tmp_path / "out.h264", units)

    assert (tmp_path / "out.h264").read_bytes() == b"".join(unit.data for unit in units)


def test_a_recording_decodes_to_every_picture_that_was_sent(tmp_path: Path) -> None:
    record(tmp_path / "out.mp4", pictures(Fraction(30), 45))

    with av.open(tmp_path / "out.mp4") as container:
        levels = [bytes(frame.planes[0])[0] for frame in container.decode(video=0)]

    assert len(levels) == 45
    assert levels == pytest.approx([(index * 7) % 256 for index in range(45)], abs=4)


def test_a_recording_begins_with_its_first_keyframe(tmp_path: Path) -> None:
    units = pictures(Fraction(30), 40, keyint=10)

    record(tmp_path / "out.mp4", units[3:])

    read = probe(tmp_path / "out.mp4")
    assert float(read["start_time"]) == 0
    assert int(read["nb_read_frames"]) == 30


def test_pictures_that_were_lost_leave_a_gap_in_time(tmp_path: Path) -> None:
    units = pictures(Fraction(30), 60, keyint=30)

    record(tmp_path / "out.mp4", units[:10] + units[30:])

    read = probe(tmp_path / "out.mp4")
    assert float(read["duration"]) == pytest.approx(2.0)
    assert Fraction(read["r_frame_rate"]) == 30


def test_without_a_keyframe_there_is_no_file(tmp_path: Path) -> None:
    record(tmp_path / "out.mp4", pictures(Fraction(30), 5)[1:])

    assert not (tmp_path / "out.mp4").exists()


@pytest.mark.parametrize("name", ["out.mp4", "out.mkv"])
def test_a_viewer_that_is_killed_leaves_a_file_that_plays(tmp_path: Path, name: str) -> None:
    script = textwrap.dedent(f"""
        import os, pathlib, signal
        from fractions import Fraction
        from tests.viewer.conftest import pictures
        from viewer.record import Recorder

        recorder = Recorder(pathlib.Path({str(tmp_path / name)!r}))
        for unit in pictures(Fraction(30), 150):
            recorder.write(unit)
        os.kill(os.getpid(), signal.SIGKILL)
    """)
    killed = subprocess.run([sys.executable, "-c", script], cwd=ROOT, check=False)
    assert killed.returncode == -signal.SIGKILL

    read = probe(tmp_path / name)

    assert Fraction(read["r_frame_rate"]) == 30
    assert int(read["nb_read_frames"]) >= 90


def test_what_cannot_be_written_is_refused_before_the_call(tmp_path: Path) -> None:
    (tmp_path / "there.mp4").touch()

    for path, words in (
        (tmp_path / "out.avi", "ends in none"),
        (tmp_path / "there.mp4", "is there already"),
        (tmp_path / "nowhere" / "out.mp4", "is not a folder"),
    ):
        with pytest.raises(Usage, match=words):
            check_path(path)


def test_a_file_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path / "nowhere" / "out.mp4")

    with pytest.raises(Fault, match=r"out\.mp4 cannot be written: No such file"):
        recorder.write(pictures(Fraction(30), 1)[0])

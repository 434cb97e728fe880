"""A camera played from a file: real H.264, looped in real time as it is, without re-encoding."""

from __future__ import annotations

import itertools
import shlex
import threading
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import closing
from fractions import Fraction
from pathlib import Path

import av
from av.container import InputContainer

from agent.capture.source import PermanentCaptureError
from agent.media import annexb
from agent.media.access_unit import AccessUnit, StreamName

# So many pictures are looked at before a file is taken: they show B frames, and a keyframe to begin with.
_CHECKED_PICTURES = 300
# A longer pause between two pictures is a cut in a recording, and is not waited for.
_LONGEST_PAUSE_US = 10_000_000
# Later than this, the rest is played later too, instead of in a burst.
_LATE_S = 0.5
# Up to so long nobody minds that a stop waits.
_NAP_S = 0.05
# Pictures that are read from the file at a time.
_READ_AHEAD = 10
# FFmpeg decodes pictures to learn what a file holds. What is wanted here stands in the parameter sets: no decoder may.
_OPTIONS = {"codec_whitelist": "none"}


class Clip:
    """A Source of an H.264 file (MP4, Matroska, MPEG-TS or raw Annex B) that begins again at its end.

    Nothing is encoded, so a keyframe cannot be made: when one is wanted, the clip jumps forward to the next
    IDR in the file, at once and with the timestamps going on. A bitrate cannot be set at all.
    """

    has_sub = False

    def __init__(self, path: Path) -> None:
        """Look at the file. Errors: PermanentCaptureError, which says how to make a file that will do."""
        self._path = path
        self._stopped = threading.Event()
        self._keyframe_wanted = True
        with self._open() as container:
            video = container.streams.video[0]
            self.name = f"clip {path.name} {video.width}x{video.height} at {float(_rate(video)):g} fps, as it is"
            pictures = itertools.islice(self._pictures(container), _CHECKED_PICTURES)
            if not sum(picture.keyframe for picture in pictures):  # looks at them all
                raise self._refusal(f"has no keyframe (IDR) among its first {_CHECKED_PICTURES} pictures")

    def run(self, emit: Callable[[AccessUnit], None]) -> None:
        """Emit the file's pictures when they are due until stopped. Errors: PermanentCaptureError."""
        began = None
        with closing(self._timeline()) as timeline:
            for unit in timeline:
                if began is None:
                    began = time.monotonic()
                wait_s = began + unit.pts_us / 1_000_000 - time.monotonic()
                if not self._wait(wait_s):
                    return
                if wait_s < -_LATE_S:
                    began -= wait_s
                emit(unit)

    def stop(self) -> None:
        """End `run` before its next picture."""
        self._stopped.set()

    def request_keyframe(self, stream: StreamName = "main") -> None:  # there is but one
        """Go on with the next IDR of the file."""
        self._keyframe_wanted = True

    def set_bitrate(self, bitrate_bps: int, stream: StreamName = "main") -> None:
        """Nothing: a recording has the bitrate that it has."""

    def want_sub(self, wanted: bool) -> None:
        """Nothing: a recording has the one stream that it has."""

    def _wait(self, wait_s: float) -> bool:
        """Wait for a picture's time; False when it is over."""
        if wait_s > _NAP_S:
            self._stopped.wait(wait_s)
        elif wait_s > 0:
            time.sleep(wait_s)  # costs half of what waiting for an event does
        return not self._stopped.is_set()

    def _timeline(self) -> Generator[AccessUnit, None, None]:
        """Yield what is to be shown, its pts counted from the start on over all loops and jumps."""
        pts_us: int | None = None
        while not self._stopped.is_set():
            with self._open() as container:
                period_us = round(1_000_000 / _rate(container.streams.video[0]))
                before_us: int | None = None
                for picture in _read_ahead(self._pictures(container)):
                    if self._keyframe_wanted and not picture.keyframe:
                        if self._stopped.is_set():
                            return
                        before_us = None
                        continue
                    self._keyframe_wanted = False
                    step_us = 0 if before_us is None else picture.pts_us - before_us
                    if not 0 < step_us <= _LONGEST_PAUSE_US:
                        step_us = period_us
                    pts_us = 0 if pts_us is None else pts_us + step_us
                    before_us = picture.pts_us
                    yield picture.at(pts_us)

    def _pictures(self, container: InputContainer) -> Iterator[AccessUnit]:
        """Yield one pass of the file, from its first keyframe on, with the times that stand in it."""
        video = container.streams.video[0]
        rate = _rate(video)
        # In whole numbers: to multiply a fraction costs more than to copy the packet.
        ticks_us, ticks = (1_000_000 * (video.time_base or 1 / rate)).as_integer_ratio()
        extradata = video.codec_context.extradata or b""
        try:
            avc = annexb.avc_config(extradata) if extradata.startswith(b"\x01") else None
            assembler = annexb.Assembler(avc.parameter_sets if avc else ())
            for index, packet in enumerate(container.demux(video)):
                sample = bytes(packet)
                if not sample:
                    continue  # the demuxer's way to say that the file ends
                units = annexb.avcc_units(sample, avc.length_bytes) if avc else list(annexb.nal_units(sample))
                for unit in units:
                    if annexb.is_b_slice(unit):
                        raise self._refusal("has B frames, which WebRTC cannot show")
                pts_us = index * 1_000_000 // rate if packet.pts is None else packet.pts * ticks_us // ticks
                if (picture := assembler.access_unit(units, pts_us)) is not None:
                    yield picture
        except (annexb.MalformedH264, av.FFmpegError) as error:
            raise self._refusal(f"is damaged ({error})") from error

    def _open(self) -> InputContainer:
        try:
            container = av.open(self._path, options=_OPTIONS)
        except FileNotFoundError as error:
            raise PermanentCaptureError(f"{self._path}: no such file; camera.source = clip:FILE") from error
        except PermissionError as error:
            raise PermanentCaptureError(f"{self._path}: may not be read by this user") from error
        except (av.FFmpegError, OSError) as error:
            raise self._refusal("is no video file") from error
        codecs = [video.codec_context.name for video in container.streams.video]
        if codecs[:1] != ["h264"]:
            container.close()
            raise self._refusal(f"holds {codecs[0]}, not H.264" if codecs else "has no picture in it")
        return container

    def _refusal(self, reason: str) -> PermanentCaptureError:
        source = shlex.quote(str(self._path))
        target = shlex.quote(str(self._path.with_suffix(".camward.mp4")))
        return PermanentCaptureError(
            f"{self._path} {reason}; make one that will do: "
            f"ffmpeg -i {source} -an -c:v libx264 -profile:v baseline -g 60 {target}"
        )


def _read_ahead(pictures: Iterator[AccessUnit]) -> Iterator[AccessUnit]:
    """Read some pictures at a time: for one alone the processor is woken, and its caches are cold."""
    while some := list(itertools.islice(pictures, _READ_AHEAD)):
        yield from some


def _rate(video: av.VideoStream) -> Fraction:
    for rate in (video.average_rate, video.guessed_rate):
        if rate is not None and rate.numerator:
            return Fraction(rate.numerator, rate.denominator)  # since PyAV 19 it is a type of its own
    return Fraction(25)

"""Raw pictures to H.264 through FFmpeg, with a keyframe and a new bitrate on request."""

from __future__ import annotations

import functools
import logging
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import cast

import av
from av.video.frame import PictureType
from av.video.reformatter import VideoReformatter

from agent.capture.source import PermanentCaptureError
from agent.config import CameraConfig
from agent.media.access_unit import AccessUnit
from agent.media.annexb import Assembler, nal_units
from agent.media.level import level_idc

log = logging.getLogger(__name__)

MICROSECOND = Fraction(1, 1_000_000)


@dataclass(frozen=True, slots=True)
class Codec:
    """How FFmpeg's encoder of one name is opened: its own options, and the pixel formats to try, the cheapest first."""

    options: dict[str, str]
    formats: tuple[str, ...] = ("yuv420p",)


_CODECS = {
    # Pictures are sent as they come: no B frames, no look-ahead, and one slice thread, which at 720p30 costs least.
    "libx264": Codec(
        {"preset": "ultrafast", "tune": "zerolatency", "profile": "baseline", "forced-idr": "1"}, ("yuv420p", "nv12")
    ),
    # What drivers of boards have (a Pi up to the 4, Qualcomm, Samsung, MediaTek); some take nothing but NV12. The
    # profile is FFmpeg's number of constrained baseline, 66 | 1 << 9.
    "h264_v4l2m2m": Codec({"profile": "578"}, ("yuv420p", "nv12")),
    # Rockchip's, in FFmpeg builds with its MPP library. Low delay waits for each picture's packet; else four are held.
    "h264_rkmpp": Codec(
        {"rc_mode": "CBR", "profile": "66", "coder": "0", "8x8dct": "0", "flags": "+low_delay"}, ("nv12", "yuv420p")
    ),
}

HARDWARE_FIRST = ("h264_rkmpp", "h264_v4l2m2m", "libx264")
"""Every encoder, for a source that does not know its board: what the board does not have does not open."""


def _formats(codec: str, frame: av.VideoFrame) -> list[str]:
    """List what to try, first what need not be converted."""
    return sorted(_CODECS[codec].formats, key=lambda pixels: pixels != frame.format.name)


@functools.cache  # once in the life of the process, however often encoders are opened
def _tell(refusal: str) -> None:
    log.info("passed over: %s", refusal)


class Encoder:
    """Encodes the pictures of one source; opened by the first of them, in its size.

    `codecs` are FFmpeg's names, the best first; one that does not open is passed over. Only `request_keyframe`
    and `set_bitrate` may be called from another thread than `encode`.
    """

    def __init__(self, config: CameraConfig, *, codecs: tuple[str, ...] = ("libx264",)) -> None:
        self.codec = codecs[0]
        self._codecs = codecs
        self._config = config
        self._bitrate_bps = config.bitrate_bps
        self._keyframe_wanted = False
        self._context: av.VideoCodecContext | None = None
        self._ceiling_bps = 0
        self._reformatter = VideoReformatter()
        self._assembler = Assembler()

    def encode(self, frame: av.VideoFrame, pts_us: int) -> Iterator[AccessUnit]:
        """Encode one yuv420p or nv12 picture; `frame` is free again afterwards. Errors: PermanentCaptureError."""
        context = self._context_for(frame)
        if context.pix_fmt != frame.format.name:
            frame = self._reformatter.reformat(frame, format=context.pix_fmt)
        frame.pts, frame.time_base = pts_us, MICROSECOND
        frame.pict_type = PictureType.NONE
        if self._keyframe_wanted:
            self._keyframe_wanted = False
            frame.pict_type = PictureType.I
        for packet in context.encode(frame):
            at_us = pts_us if packet.pts is None else packet.pts
            unit = self._assembler.access_unit(nal_units(bytes(packet)), at_us)
            if unit is not None:
                yield unit

    def request_keyframe(self) -> None:
        """Make the next picture an IDR."""
        self._keyframe_wanted = True

    def set_bitrate(self, bitrate_bps: int) -> None:
        """Aim at `bitrate_bps` from the next picture on."""
        self._bitrate_bps = bitrate_bps

    def _context_for(self, frame: av.VideoFrame) -> av.VideoCodecContext:
        bitrate_bps = self._bitrate_bps
        if self._context is not None and self._context.bit_rate != bitrate_bps and not self._follows(bitrate_bps):
            self._context = None  # no other name holds it: a V4L2 encoder is closed before it is opened again
        if self._context is None:
            self._context = self._open(frame, bitrate_bps)
        if self._context.bit_rate != bitrate_bps:
            self._context.bit_rate = bitrate_bps
        return self._context

    def _follows(self, bitrate_bps: int) -> bool:
        """Say whether the open context takes a new bitrate; else a fresh one takes over, with a keyframe."""
        # FFmpeg hands a new bit_rate to a running libx264, up to the VBV's maxrate that it was opened with.
        return self.codec == "libx264" and bitrate_bps <= self._ceiling_bps

    def _open(self, frame: av.VideoFrame, bitrate_bps: int) -> av.VideoCodecContext:
        refusals: dict[str, None] = {}  # in order, each once
        for codec, pixels in [(name, pixels) for name in self._codecs for pixels in _formats(name, frame)]:
            # Opened for the most that is configured, so that going down and up again never needs a fresh context.
            ceiling_bps = max(bitrate_bps, self._config.bitrate_bps) if codec == "libx264" else bitrate_bps
            try:
                context = cast(av.VideoCodecContext, av.CodecContext.create(codec, "w"))
                context.width, context.height, context.pix_fmt = frame.width, frame.height, pixels
                context.time_base, context.framerate = MICROSECOND, Fraction(self._config.fps)
                context.bit_rate = ceiling_bps
                context.gop_size = max(1, round(self._config.keyframe_interval_s * self._config.fps))
                context.max_b_frames = 0
                context.thread_count = 1
                # maxrate equal to bit_rate is CBR to x264, the only mode in which it takes a new bitrate.
                # A quarter of a second of buffer bounds how long a keyframe holds up what comes after it. It keeps
                # its size at a lower bitrate: a larger one would let that be overshot for seconds. Nor does x264
                # know yet, at its first keyframe, of a lower bitrate; but it keeps to what the buffer holds then.
                vbv = {
                    "maxrate": str(ceiling_bps),
                    "bufsize": str(ceiling_bps // 4),
                    "rc_init_occupancy": str(bitrate_bps * 9 // 40),
                }
                context.options = _CODECS[codec].options | vbv
                if codec == "libx264":
                    level = level_idc(frame.width, frame.height, self._config.fps, ceiling_bps)
                    context.options |= {"level": f"{level / 10:g}"}
                context.open()
            except (av.FFmpegError, ValueError) as error:
                refusals[f"{codec}: {error}"] = None
                continue
            for refusal in refusals:
                _tell(refusal)
            self.codec, self._ceiling_bps = codec, ceiling_bps
            return context
        raise PermanentCaptureError(
            f"no H.264 encoder takes {frame.width}x{frame.height} at {self._config.fps} fps ({'; '.join(refusals)}); "
            "set another camera.width, height or fps, or install PyAV's own wheel, which carries libx264"
        )

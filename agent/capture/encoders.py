"""The encodes of one camera's pictures: the full one, and a smaller one for weak viewers while it is wanted."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

import av
from av.video.reformatter import Interpolation, VideoReformatter

from agent.capture.encoder import Encoder
from agent.capture.overlay import Overlay
from agent.config import CameraConfig
from agent.media.access_unit import AccessUnit, StreamName


class Encoders:
    """Encodes each picture for the main stream, and for the sub stream while that is wanted.

    All but `encode` may be called from another thread than it.
    """

    def __init__(self, config: CameraConfig, *, codecs: tuple[str, ...] = ("libx264",)) -> None:
        self.has_sub = config.sub_bitrate_bps > 0
        self._main = Encoder(config, codecs=codecs)
        self._sub_config = dataclasses.replace(config, bitrate_bps=config.sub_bitrate_bps)
        self._sub_bps = config.sub_bitrate_bps
        self._scale = config.sub_scale
        self._sub_wanted = False
        self._sub: Encoder | None = None
        self._reformatter = VideoReformatter()
        self._overlay = Overlay(config.overlay) if config.overlay else None

    @property
    def codec(self) -> str:
        """Name the encoder of the main stream, as FFmpeg does."""
        return self._main.codec

    def encode(self, frame: av.VideoFrame, pts_us: int, small: av.VideoFrame | None = None) -> Iterator[AccessUnit]:
        """Encode one yuv420p or nv12 picture, and `small` in place of its smaller self where a camera gives both.

        The frames are free again afterwards. Errors: PermanentCaptureError.
        """
        if self._overlay is not None:
            for picture in (frame, small):
                if picture is not None:
                    self._overlay.draw(picture)
        yield from self._main.encode(frame, pts_us)
        if not self._sub_wanted:
            self._sub = None
            return
        if self._sub is None:
            # In software: a hardware encoder has one context to give on most boards, and this one is small.
            self._sub = Encoder(self._sub_config)
        self._sub.set_bitrate(self._sub_bps)
        for unit in self._sub.encode(small or self._smaller(frame), pts_us):
            yield unit.of("sub")

    def want_sub(self, wanted: bool) -> None:
        """Begin the second encode with the next picture, with a keyframe, or end it."""
        self._sub_wanted = wanted and self.has_sub

    def request_keyframe(self, stream: StreamName = "main") -> None:
        """Make the next picture of this stream an IDR."""
        encoder = self._main if stream == "main" else self._sub
        if encoder is not None:
            encoder.request_keyframe()

    def set_bitrate(self, bitrate_bps: int, stream: StreamName = "main") -> None:
        """Aim at `bitrate_bps` from the next picture on."""
        if stream == "main":
            self._main.set_bitrate(bitrate_bps)
        else:
            self._sub_bps = bitrate_bps

    def _smaller(self, frame: av.VideoFrame) -> av.VideoFrame:
        # Chroma is halved, so both sides stay even.
        width, height = (max(2, side // self._scale // 2 * 2) for side in (frame.width, frame.height))
        return self._reformatter.reformat(frame, width, height, "yuv420p", interpolation=Interpolation.FAST_BILINEAR)

"""A camera's raw or MJPEG pictures as yuv420p, which is what encoders take."""

from __future__ import annotations

from collections.abc import Iterator

import av
from av.video.reformatter import VideoReformatter

from agent.capture.modes import RAW, Chosen


class Decoder:
    """Decodes the pictures of one mode. `stride` is a raw picture's bytes from row to row, of its first plane."""

    def __init__(self, chosen: Chosen, stride: int) -> None:
        self._stride = stride
        self._reformatter = VideoReformatter()
        self._raw: av.VideoFrame | None = None
        self._mjpeg: av.VideoCodecContext | None = None
        if chosen.fourcc in RAW:
            self._raw = av.VideoFrame(chosen.width, chosen.height, RAW[chosen.fourcc])
        else:
            self._mjpeg = av.CodecContext.create("mjpeg", "r")
            self._mjpeg.thread_count = 1  # threads would hold back a picture each

    def frames(self, data: memoryview) -> Iterator[av.VideoFrame]:
        """Decode one picture; `data` is not needed afterwards. None comes of one that is cut short.

        USB cameras cut pictures short when they start, and now and then later.
        """
        if self._mjpeg is not None:
            try:
                decoded = self._mjpeg.decode(av.Packet(bytes(data)))
            except av.FFmpegError:  # whatever it takes a damaged header for
                return
            for frame in decoded:
                yield self._reformatter.reformat(frame, format="yuv420p")
        elif self._raw is not None and _fill(self._raw, data, self._stride):
            yield self._reformatter.reformat(self._raw, format="yuv420p")


def _fill(frame: av.VideoFrame, data: memoryview, stride: int) -> bool:
    """Copy a raw picture into `frame`; False where there are too few bytes for it."""
    at = 0
    for number, plane in enumerate(frame.planes):
        # Three planes have their chroma at half the stride, two have Cb and Cr side by side in one.
        step = stride // 2 if number and frame.format.name == "yuv420p" else stride
        end = at + step * plane.height
        if end > len(data):
            return False
        target = memoryview(plane)
        if step == plane.line_size:
            target[: end - at] = data[at:end]
        else:
            row = min(step, plane.line_size)
            for y in range(plane.height):
                target[y * plane.line_size : y * plane.line_size + row] = data[at + y * step : at + y * step + row]
        at = end
    return True

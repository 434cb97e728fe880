"""What a viewer wants to know of H.264 in Annex B: can a picture be started on, and how large is it."""

from __future__ import annotations

import io
from typing import Final

import av
import av.video.stream

# nal_unit_type, H.264 table 7-1
_SLICE: Final = 1
_IDR: Final = 5
_KEYFRAME: Final = frozenset({_IDR, 7, 8})  # with its SPS and PPS before it
_START: Final = b"\x00\x00\x01"


def is_keyframe(data: bytes) -> bool:
    """Say whether decoding can begin with this access unit: an IDR, with SPS and PPS before it."""
    kinds = set()
    at = data.find(_START)
    while 0 <= at < len(data) - 3:
        kind = data[at + 3] & 0x1F
        kinds.add(kind)
        if _SLICE <= kind <= _IDR:
            break
        at = data.find(_START, at + 3)
    return kinds >= _KEYFRAME


def describe(keyframe: bytes) -> av.video.stream.VideoStream | None:
    """Read width, height and parameter sets of a keyframe as FFmpeg does; None where FFmpeg finds none."""
    try:
        # Not closed here: what is returned points into it, and keeps it alive.
        stream = av.open(io.BytesIO(keyframe), format="h264").streams.video[0]
    except (av.FFmpegError, IndexError):
        return None
    return stream if stream.codec_context.width and stream.codec_context.extradata else None

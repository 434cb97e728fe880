"""What travels from a camera to its viewers."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, Literal

START_CODE: Final = b"\x00\x00\x00\x01"
"""Stands before each NAL unit of a byte stream (H.264 annex B)."""

StreamName = Literal["main", "sub"]
"""The full picture of a camera, and the second, smaller encode of it that weak viewers are given."""


class AccessUnit:
    """One coded picture: its NAL units, and `pts_us` in microseconds, strictly rising within one run of a source.

    `keyframe` is True for an IDR that its SPS and PPS stand before. Threads and viewers share it: nobody changes it.
    """

    __slots__ = ("keyframe", "pts_us", "stream", "units")

    # Written out: two and more are made for each picture, and what a dataclass makes cannot be compiled.
    def __init__(self, *, units: tuple[bytes, ...], pts_us: int, keyframe: bool, stream: StreamName = "main") -> None:
        self.units: Final = units
        self.pts_us: Final = pts_us
        self.keyframe: Final = keyframe
        self.stream: Final[StreamName] = stream

    def at(self, pts_us: int) -> AccessUnit:
        """Make the same picture with another time."""
        return AccessUnit(units=self.units, pts_us=pts_us, keyframe=self.keyframe, stream=self.stream)

    def of(self, stream: StreamName) -> AccessUnit:
        """Make the same picture one of this stream."""
        return AccessUnit(units=self.units, pts_us=self.pts_us, keyframe=self.keyframe, stream=stream)

    @property
    def data(self) -> bytes:
        """The picture as a byte stream (H.264 annex B)."""
        return byte_stream(self.units)


def byte_stream(units: Iterable[bytes]) -> bytes:
    """Join NAL units to a byte stream (H.264 annex B)."""
    return b"".join(START_CODE + unit for unit in units)

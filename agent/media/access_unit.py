"""What travels from a camera to its viewers."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, Literal

START_CODE: Final = b"\x00\x00\x00\x01"
"""Stands before each NAL unit of a byte stream (H.264 annex B)."""

StreamName = Literal["main", "sub"]
"""The full picture of a camera, and the second, smaller encode of it that weak viewers are given."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AccessUnit:
    """One coded picture: its NAL units, and `pts_us` in microseconds, strictly rising within one run of a source.

    `keyframe` is True for an IDR that its SPS and PPS stand before.
    """

    units: tuple[bytes, ...]
    pts_us: int
    keyframe: bool
    stream: StreamName = "main"

    @property
    def data(self) -> bytes:
        """The picture as a byte stream (H.264 annex B)."""
        return byte_stream(self.units)


def byte_stream(units: Iterable[bytes]) -> bytes:
    """Join NAL units to a byte stream (H.264 annex B)."""
    return b"".join(START_CODE + unit for unit in units)

"""What travels from a camera to its viewers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

StreamName = Literal["main", "sub"]
"""The full picture of a camera, and the second, smaller encode of it that weak viewers are given."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AccessUnit:
    """One coded picture: H.264 Annex B, `pts_us` in microseconds, strictly rising within one run of a source.

    `keyframe` is True for an IDR that its SPS and PPS stand before.
    """

    data: bytes
    pts_us: int
    keyframe: bool
    stream: StreamName = "main"

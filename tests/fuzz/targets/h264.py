"""A picture of an IP camera, made ready for viewers and cut into packets (H.264, annex B; RFC 6184)."""

from __future__ import annotations

from agent.media import annexb
from agent.media.packetize import Packetized
from agent.media.rtp import Layout, images
from tests.fuzz.target import Target

_LAYOUT = Layout.of(96, {}, ssrc=1, mid="0", playout_delay_ms=0, tag_bytes=16)


def _take(case: bytes) -> None:
    units = list(annexb.nal_units(case))
    if any(map(annexb.is_b_slice, units)):
        return
    unit = annexb.Assembler().access_unit(units, 0)
    if unit is not None:
        images(Packetized(unit, timestamp=0, captured_at=0.0, published_at=0.0), _LAYOUT)


TARGET = Target(
    take=_take,
    refusals=(annexb.MalformedH264,),
    most_bytes=4096,  # three packets and more
    tokens=(b"\0\0\1", b"\0\0\0\1", b"\0\0\3", b"\1\x65", b"\1\x67", b"\1\x68", b"\1\x41", b"\1\x06", b"\1\x09"),
)

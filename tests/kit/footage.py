"""Access units: of real footage, as a camera would have made them, and of any NAL units."""

from __future__ import annotations

import random
from collections.abc import Iterable
from functools import cache

import av

from agent.media import annexb
from agent.media.access_unit import AccessUnit, StreamName
from agent.media.packetize import bursts
from tests.kit import clips

# No zero byte, so that no part of it looks like a start code.
_NOISE = bytes(random.Random(1).choices(range(1, 256), k=65_536))  # noqa: S311  # the same bytes in every run


def nal(kind: int, size: int, *, importance: int = 3, seed: int = 0) -> bytes:
    """Make a NAL unit of `size` bytes that says nothing; `importance` is nal_ref_idc."""
    return bytes([importance << 5 | kind]) + _NOISE[seed : seed + size - 1]


def unit_of(nals: Iterable[bytes], *, pts_us: int = 0, stream: StreamName = "main") -> AccessUnit:
    """Make an access unit; it is a keyframe when there is an IDR in it."""
    nals = list(nals)
    keyframe = any(annexb.nal_type(unit) == annexb.IDR for unit in nals)
    return AccessUnit(units=tuple(nals), pts_us=pts_us, keyframe=keyframe, stream=stream)


def payloads(nals: Iterable[bytes]) -> list[bytes]:
    """Cut NAL units into RTP payloads."""
    return [head + body for heads, bodies in bursts(nals) for head, body in zip(heads, bodies, strict=True)]


@cache
def recorded() -> tuple[AccessUnit, ...]:
    """Read bigbuckbunny: 1280x720, 25 fps, 5.3 s, of which the first picture alone is a keyframe."""
    units: list[AccessUnit] = []
    with av.open(clips.footage("bigbuckbunny.mp4")) as container:
        video = container.streams.video[0]
        config = annexb.avc_config(video.codec_context.extradata or b"")
        assembler = annexb.Assembler(config.parameter_sets)
        for packet in container.demux(video):
            pts_us = len(units) * 1_000_000 // 25
            unit = assembler.access_unit(annexb.avcc_units(bytes(packet), config.length_bytes), pts_us)
            if unit is not None:
                units.append(unit)
    return tuple(units)

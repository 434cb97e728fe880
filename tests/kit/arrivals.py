"""What arrived at a viewer, looked at as pictures."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable, Iterable

from aiortc.codecs.h264 import h264_depayload
from aiortc.rtp import RtpPacket

from agent.media import annexb


async def until(reached: Callable[[], bool], within_s: float = 15.0) -> None:
    """Wait until something is true. Errors: TimeoutError."""
    async with asyncio.timeout(within_s):
        while not reached():
            await asyncio.sleep(0.005)


def by_picture(packets: Iterable[RtpPacket]) -> list[list[RtpPacket]]:
    """Put packets together that have the same timestamp."""
    return [list(group) for _, group in itertools.groupby(packets, key=lambda packet: packet.timestamp)]


def whole(packets: Iterable[RtpPacket]) -> int:
    """Count the pictures that came to their marked end."""
    return sum(packet.marker for packet in packets)


def access_unit(picture: Iterable[RtpPacket]) -> bytes:
    """Take a picture out of its packets, by another project's hand."""
    return b"".join(h264_depayload(packet.payload) for packet in picture)


def is_keyframe(picture: Iterable[RtpPacket]) -> bool:
    """Say whether there is an IDR in it."""
    return annexb.IDR in map(annexb.nal_type, annexb.nal_units(access_unit(picture)))


def ticks_after(packet: RtpPacket, earlier: RtpPacket) -> int:
    """Say how much later the timestamp of one packet is, over its wrap."""
    return (packet.timestamp - earlier.timestamp + 2**31) % 2**32 - 2**31


def numbered_without_gaps(packets: list[RtpPacket]) -> bool:
    """Say whether each packet has the number after the one before."""
    numbers = [packet.sequence_number for packet in packets]
    return bool(packets) and numbers == [(numbers[0] + index) & 0xFFFF for index in range(len(packets))]

"""What each step of the hot path costs, for a picture of 15 packets to 16 viewers (docs/architecture.md).

    make bench BENCH=benchmarks.steps               compiled
    .venv-debian/bin/python -m benchmarks.steps     then plain, on the same Python

The real parts, real sockets, AES-GCM; nobody reads at the other end. Of a viewer, the whole way is measured, then
protecting and sending alone; what is left is queueing, pacing and numbering. To send singly is what a path without
bursts would cost. Caches are warm, as they are for all viewers but the first.
"""

from __future__ import annotations

import asyncio
import os
import platform
import socket
import statistics
import time
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, cast

from pylibsrtp import Policy, Session

from agent import hot_path
from agent.media.access_unit import AccessUnit
from agent.media.bandwidth import Bandwidth
from agent.media.packetize import Packetized
from agent.media.rtp import MID, TRANSPORT_CC, Layout, images
from agent.media.stream import Stream
from agent.webrtc.egress import Egress, _Out
from agent.webrtc.inbox import Inbox
from agent.webrtc.path import Path
from agent.webrtc.srtp import Protector

VIEWERS = 16
BYTES = 16_667  # of a picture: 4 Mbit/s at 30 fps
PICTURES = 1500
FULL_BPS = 4_000_000
LAYOUT = Layout.of(96, {TRANSPORT_CC: 3, MID: 4}, ssrc=7, mid="0", playout_delay_ms=0, tag_bytes=16)


def protector(number: int) -> Protector:
    """Make one with a key of its own."""
    profile = Policy.SRTP_PROFILE_AEAD_AES_128_GCM
    policy = Policy(key=bytes([number]) * 28, ssrc_type=Policy.SSRC_ANY_OUTBOUND, srtp_profile=profile)
    return Protector(Session(policy), LAYOUT)


def viewer(number: int, stream: Stream, inbox: Inbox, path: Path) -> Egress:
    """Make an egress as if DTLS stood, and no report were due."""
    bandwidth = Bandwidth(start_bps=FULL_BPS, min_bps=50_000, max_bps=FULL_BPS)
    egress = Egress(stream, bandwidth, inbox, playout_delay_ms=0, full_bps=FULL_BPS)
    pair: Any = object()
    never = cast("Any", SimpleNamespace(report_at=float("inf")))
    egress._out = _Out(cast("Any", None), {1: pair}, never, LAYOUT, protector(number), None, 0)
    egress._pair, egress._path = pair, path
    return egress


def us(work: Callable[[], object]) -> float:
    """Time it, in microseconds."""
    began = time.perf_counter()
    work()
    return (time.perf_counter() - began) * 1e6


async def main() -> None:
    """Measure, and print medians."""
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as reader,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock,
    ):
        reader.bind(("127.0.0.1", 0))
        sock.setblocking(False)
        where = reader.getsockname()
        path = Path(sock, where, lambda packet, address: None)
        stream, inbox = Stream(ask=lambda: None), Inbox()
        egresses = [viewer(number, stream, inbox, path) for number in range(VIEWERS)]
        body, alone = b"\x41" + os.urandom(BYTES - 1), protector(VIEWERS)
        names = ("cut and lay out", "a viewer", "protect", "send", "send singly")
        times: dict[str, list[float]] = {name: [] for name in names}

        for number in range(PICTURES):
            unit = AccessUnit(units=(body,), pts_us=number * 33_333, keyframe=not number)
            packetized = Packetized(unit, number * 3000, 0.0, 0.0)
            times["cut and lay out"].append(us(lambda: images(packetized, LAYOUT)))  # noqa: B023  # called at once
            now = time.monotonic()
            for egress in egresses:
                egress._pacer._drained_at = 0.0  # there is a thirtieth of a second between pictures
            times["a viewer"].append(us(lambda: [egress.take(packetized, now) for egress in egresses]) / VIEWERS)  # noqa: B023
            (image,) = images(packetized, LAYOUT)
            for again in range(VIEWERS):
                first = (number * VIEWERS + again) * image.count & 0xFFFF
                began = time.perf_counter()
                wire = alone.burst(image, 0, image.count, sequence=first, timestamp=1, transport_number=first)
                protected = time.perf_counter()
                path.send(wire, image.stride)
                times["send"].append((time.perf_counter() - protected) * 1e6)
                times["protect"].append((protected - began) * 1e6)
                packets = [wire[at : at + image.stride] for at in range(0, len(wire), image.stride)]
                times["send singly"].append(us(lambda: [sock.sendto(packet, where) for packet in packets]))  # noqa: B023
        assert all(egress.counts.sent == PICTURES * image.count for egress in egresses)
    medians = {name: statistics.median(values) for name, values in times.items()}
    medians["queue, pace, number"] = medians["a viewer"] - medians["protect"] - medians["send"]
    print(f"Python {platform.python_version()}, {hot_path.HOW}, {image.count} packets a picture; microseconds:")
    for name, median in medians.items():
        print(f"  {name:20} {median:6.1f}")


if __name__ == "__main__":
    asyncio.run(main())

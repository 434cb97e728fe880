"""A datagram at the ICE socket, from anybody: the guard, then aioice's parser for whoever knows the password."""

from __future__ import annotations

import contextlib

from agent.webrtc.guard import Drops, Guard, Kind
from agent.webrtc.seams import sockets
from tests.fuzz.target import Target

_SOURCE = (1, "192.0.2.7", 50000)


def _take(case: bytes) -> None:
    guard = Guard(Drops(), lambda host, port: True)
    if guard.sort(case, _SOURCE) is Kind.CHECK:
        guard.proves(case, _SOURCE, ours="theirs", theirs="ours", password="password")
    guard.succeeded(_SOURCE)
    guard.sort(case, _SOURCE)
    with contextlib.suppress(ValueError):
        sockets.parse_stun(case)


TARGET = Target(take=_take, most_bytes=2000)

"""A candidate of a viewer, as a session reads it before anything is probed (RFC 8839, section 5.1)."""

from __future__ import annotations

from aiortc.sdp import candidate_from_sdp

from agent.webrtc.addresses import may_probe
from tests.fuzz.target import Target


def _take(case: bytes) -> None:
    candidate = candidate_from_sdp(case.decode("utf-8", "replace").removeprefix("candidate:"))
    for mode in ("lan", "direct", "relay"):
        may_probe(candidate.ip, candidate.port, mode)


TARGET = Target(
    take=_take,
    refusals=(ValueError, IndexError, AssertionError),  # what `Session` takes for a candidate that is none
    most_bytes=512,  # the cap of protocol/messages/calls.py
    tokens=(
        b" typ ",
        b" host",
        b" udp ",
        b" tcp ",
        b" srflx",
        b" raddr ",
        b" rport ",
        b"::ffff:",
        b".local",
        b"127.0.0.1",
    ),
)

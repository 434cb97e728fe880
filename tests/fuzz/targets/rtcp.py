"""Reports of a viewer, decrypted, as they reach a session (RFC 3550, RFC 4585)."""

from __future__ import annotations

from agent.media import rtcp
from tests.fuzz.target import Target


def _take(case: bytes) -> None:
    for _ in rtcp.parse(case):
        pass


TARGET = Target(take=_take, refusals=(rtcp.MalformedRtcp,), most_bytes=1500, tokens=(b"REMB",))

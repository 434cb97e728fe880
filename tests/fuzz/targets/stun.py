"""A datagram at the ICE socket, from anybody (RFC 8489)."""

from __future__ import annotations

import struct

from aioice import stun

from tests.fuzz.target import Target

# aioice's parser takes both for a datagram that is no STUN; struct.error it lets out as a traceback.
TARGET = Target(take=stun.parse_message, refusals=(ValueError, struct.error), most_bytes=600)

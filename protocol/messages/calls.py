"""What a call and its session consist of, from the viewer's offer to the last bye."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Self

from protocol.messages.reading import Reader, Signed
from protocol.names import check_caller

MAX_SDP: Final = 32 * 1024
BYE_REASONS: Final = frozenset(
    {
        "busy",
        "expired",
        "forbidden",
        "privacy",
        "codec",
        "setup-timeout",
        "revoked",
        "shutdown",
        "replaced",
        "left",
        "failed",
        "no-camera",
        "no-candidate",
        "relay-refused",
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer(Signed):
    """A viewer's call; signed by the key that its grant names."""

    device: str
    sid: str  # 128 random bits
    challenge: str  # the one in the device's status
    grant: str  # a compact JWS
    sdp: str
    reply: str  # the caller whose reply topic the answer goes to
    stream: str
    camera: str = ""  # one of the names in the device's status; empty for the first

    @classmethod
    def parse(cls, payload: Mapping[str, Any]) -> Self:
        """Errors: Malformed."""
        read = Reader(payload)
        return cls(
            device=read.device(),
            sid=read.sid(),
            challenge=read.base64url("challenge", 22, 64),
            grant=read.grant(),
            sdp=read.text("sdp", MAX_SDP),
            reply=check_caller(read.text("reply", 63)),
            stream=read.one_of("stream", {"main", "sub"}),
            camera=read.camera("camera"),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer(Signed):
    """The device's answer to one offer; signed with its operational key."""

    device: str
    sid: str
    offer_sha256: str
    sdp: str
    session_s: int  # the session ends so long after its start, unless a fresh grant renews it

    @classmethod
    def parse(cls, payload: Mapping[str, Any]) -> Self:
        """Errors: Malformed."""
        read = Reader(payload)
        return cls(
            device=read.device(),
            sid=read.sid(),
            offer_sha256=read.base64url("offer_sha256", 43, 43),
            sdp=read.text("sdp", MAX_SDP),
            session_s=read.integer("session_s", most=86_400),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate(Signed):
    """One ICE candidate of either side (RFC 8840); an empty one ends them."""

    sid: str
    seq: int  # rises with each candidate and bye of one side
    candidate: str
    mid: str
    mline: int

    @classmethod
    def parse(cls, payload: Mapping[str, Any]) -> Self:
        """Errors: Malformed."""
        read = Reader(payload)
        return cls(
            sid=read.sid(),
            seq=read.seq(),
            candidate=read.text("candidate", 512, empty=True),
            mid=read.text("mid", 32, empty=True),
            mline=read.integer("mline", most=16),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Bye(Signed):
    """The end of a session, or the refusal of a call, with its reason."""

    sid: str
    seq: int
    reason: str

    @classmethod
    def parse(cls, payload: Mapping[str, Any]) -> Self:
        """Errors: Malformed."""
        read = Reader(payload)
        return cls(sid=read.sid(), seq=read.seq(), reason=read.one_of("reason", BYE_REASONS))


@dataclass(frozen=True, slots=True, kw_only=True)
class Renew(Signed):
    """A fresh grant for the key of a running session, which goes on under it; signed by the viewer."""

    sid: str
    seq: int
    grant: str  # a compact JWS

    @classmethod
    def parse(cls, payload: Mapping[str, Any]) -> Self:
        """Errors: Malformed."""
        read = Reader(payload)
        return cls(sid=read.sid(), seq=read.seq(), grant=read.grant())


@dataclass(frozen=True, slots=True, kw_only=True)
class Move(Signed):
    """Another offer in a running session, which goes over to the connection that comes of it; signed by the viewer."""

    sid: str
    seq: int
    sdp: str

    @classmethod
    def parse(cls, payload: Mapping[str, Any]) -> Self:
        """Errors: Malformed."""
        read = Reader(payload)
        return cls(sid=read.sid(), seq=read.seq(), sdp=read.text("sdp", MAX_SDP))

"""The messages between device, fleet and viewer: what each carries, and how strictly it is read.

Unknown members are passed over, so that a version can grow; a known one of the wrong type refuses the message.
Signatures are `protocol.jws`'s business: a `parse` here gets a payload that somebody has believed, or is about to.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Self

from protocol.errors import Malformed
from protocol.names import check_caller, check_device_id

MAX_SDP: Final = 32 * 1024
MAX_GRANT_S: Final = 300
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
CAMERA_NAME: Final = re.compile(r"[a-z0-9]([a-z0-9-]{0,30}[a-z0-9])?")
MOST_CAMERAS: Final = 4
SCOPES: Final = frozenset({"live", "snapshot", "control", "talk"})
_SURROGATE: Final = re.compile("[\ud800-\udfff]")  # JSON can escape half a character, and no encoder takes one
_COUNTER: Final = re.compile(r"[a-z][a-z-]{0,31}")
_MOST_COUNTERS: Final = 64
_BASE64URL: Final = re.compile(r"[A-Za-z0-9_-]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """Presence, retained; signed by the device."""

    device: str
    presence: str  # online or offline
    iat: int  # seconds since 1970
    challenge: str  # what an offer must name; empty when offline
    viewers: int
    camera: str  # where the picture comes from, for people; the first camera's
    cameras: tuple[str, ...] = ()  # what an offer may name, the first one first; empty where there is only one
    software: str

    @classmethod
    def parse(cls, payload: Mapping[str, Any]) -> Self:
        """Errors: Malformed."""
        read = _Reader(payload)
        return cls(
            device=check_device_id(read.text("device", 26)),
            presence=read.one_of("presence", {"online", "offline"}),
            iat=read.integer("iat"),
            challenge=read.text("challenge", 64, empty=True),
            viewers=read.integer("viewers", most=1000),
            camera=read.text("camera", 64, empty=True),
            cameras=read.cameras("cameras"),
            software=read.text("software", 64, empty=True),
        )

    def payload(self) -> dict[str, Any]:
        """The JSON object to sign."""
        return _payload(self) | {"cameras": list(self.cameras)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Grant:
    """What one viewer's key may do with one device, and until when; signed by an authoriser (RFC 7519, RFC 7800)."""

    iss: str
    sub: str
    aud: str  # the device
    scope: frozenset[str]
    iat: int
    exp: int
    jti: str
    jkt: str  # RFC 7638 thumbprint of the viewer's key, in cnf
    session_s: int  # how long a session under this grant may live

    @classmethod
    def parse(cls, payload: Mapping[str, Any]) -> Self:
        """Errors: Malformed, also for a life of more than MAX_GRANT_S."""
        read = _Reader(payload)
        grant = cls(
            iss=read.text("iss", 128),
            sub=read.text("sub", 128),
            aud=check_device_id(read.text("aud", 26)),
            scope=frozenset(read.text("scope", 128).split(" ")),
            iat=read.integer("iat"),
            exp=read.integer("exp"),
            jti=read.text("jti", 64),
            jkt=_Reader(read.table("cnf")).base64url("jkt", 43, 43),
            session_s=read.integer("session_s", most=86_400),
        )
        if not 0 < grant.exp - grant.iat <= MAX_GRANT_S:
            raise Malformed(f"a grant lives for at most {MAX_GRANT_S} s")
        return grant

    def payload(self) -> dict[str, Any]:
        """The JSON object to sign."""
        members = _payload(self)
        members["scope"] = " ".join(sorted(self.scope))
        members["cnf"] = {"jkt": members.pop("jkt")}
        return members


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """A viewer's call; signed by the key that its grant names."""

    device: str
    sid: str  # 128 random bits
    challenge: str  # the one in the device's status
    grant: str  # a compact JWS
    sdp: str
    reply: str  # the caller whose reply topic the answer goes to
    stream: str
    camera: str = ""  # one of the status's names; empty for the first

    @classmethod
    def parse(cls, payload: Mapping[str, Any]) -> Self:
        """Errors: Malformed."""
        read = _Reader(payload)
        return cls(
            device=check_device_id(read.text("device", 26)),
            sid=read.base64url("sid", 22, 22),
            challenge=read.base64url("challenge", 22, 64),
            grant=read.text("grant", 16_384),
            sdp=read.text("sdp", MAX_SDP),
            reply=check_caller(read.text("reply", 63)),
            stream=read.one_of("stream", {"main", "sub"}),
            camera=read.camera("camera"),
        )

    def payload(self) -> dict[str, Any]:
        """The JSON object to sign."""
        return _payload(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """The device's answer to one offer; signed with its operational key."""

    device: str
    sid: str
    offer_sha256: str
    sdp: str
    session_s: int  # the session ends so long after its start, unless a fresh grant renews it

    @classmethod
    def parse(cls, payload: Mapping[str, Any]) -> Self:
        """Errors: Malformed."""
        read = _Reader(payload)
        return cls(
            device=check_device_id(read.text("device", 26)),
            sid=read.base64url("sid", 22, 22),
            offer_sha256=read.base64url("offer_sha256", 43, 43),
            sdp=read.text("sdp", MAX_SDP),
            session_s=read.integer("session_s", most=86_400),
        )

    def payload(self) -> dict[str, Any]:
        """The JSON object to sign."""
        return _payload(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """One ICE candidate of either side (RFC 8840); an empty one ends them."""

    sid: str
    seq: int  # rises with each candidate and bye of one side
    candidate: str
    mid: str
    mline: int

    @classmethod
    def parse(cls, payload: Mapping[str, Any]) -> Self:
        """Errors: Malformed."""
        read = _Reader(payload)
        return cls(
            sid=read.base64url("sid", 22, 22),
            seq=read.integer("seq", most=1_000_000),
            candidate=read.text("candidate", 512, empty=True),
            mid=read.text("mid", 32, empty=True),
            mline=read.integer("mline", most=16),
        )

    def payload(self) -> dict[str, Any]:
        """The JSON object to sign."""
        return _payload(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class Bye:
    """The end of a session, or the refusal of a call, with its reason."""

    sid: str
    seq: int
    reason: str

    @classmethod
    def parse(cls, payload: Mapping[str, Any]) -> Self:
        """Errors: Malformed."""
        read = _Reader(payload)
        return cls(
            sid=read.base64url("sid", 22, 22),
            seq=read.integer("seq", most=1_000_000),
            reason=read.one_of("reason", BYE_REASONS),
        )

    def payload(self) -> dict[str, Any]:
        """The JSON object to sign."""
        return _payload(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class Renew:
    """A fresh grant for the key of a running session, which goes on under it; signed by the viewer."""

    sid: str
    seq: int
    grant: str  # a compact JWS

    @classmethod
    def parse(cls, payload: Mapping[str, Any]) -> Self:
        """Errors: Malformed."""
        read = _Reader(payload)
        return cls(
            sid=read.base64url("sid", 22, 22),
            seq=read.integer("seq", most=1_000_000),
            grant=read.text("grant", 16_384),
        )

    def payload(self) -> dict[str, Any]:
        """The JSON object to sign."""
        return _payload(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class Move:
    """Another offer in a running session, which goes over to the connection that comes of it; signed by the viewer."""

    sid: str
    seq: int
    sdp: str

    @classmethod
    def parse(cls, payload: Mapping[str, Any]) -> Self:
        """Errors: Malformed."""
        read = _Reader(payload)
        return cls(
            sid=read.base64url("sid", 22, 22),
            seq=read.integer("seq", most=1_000_000),
            sdp=read.text("sdp", MAX_SDP),
        )

    def payload(self) -> dict[str, Any]:
        """The JSON object to sign."""
        return _payload(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class Revoke:
    """What was granted until `iat` is taken back, and sessions under it end; signed by an authoriser."""

    device: str
    iat: int
    sub: str  # whose grants; empty for everybody's: the device itself was revoked

    @classmethod
    def parse(cls, payload: Mapping[str, Any]) -> Self:
        """Errors: Malformed."""
        read = _Reader(payload)
        return cls(
            device=check_device_id(read.text("device", 26)),
            iat=read.integer("iat"),
            sub=read.text("sub", 128, empty=True),
        )

    def payload(self) -> dict[str, Any]:
        """The JSON object to sign."""
        return _payload(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class Telemetry:
    """Figures of a device, every minute; signed by the device. Counters rise from its start on."""

    device: str
    iat: int
    uptime_s: int
    viewers: int
    pending: int  # calls being set up
    refused: Mapping[str, int]  # messages on the call topic that came to nothing, by reason
    ended: Mapping[str, int]  # sessions, by the reason of their end
    dropped: int  # MQTT messages that found no room in a queue, either way

    @classmethod
    def parse(cls, payload: Mapping[str, Any]) -> Self:
        """Errors: Malformed."""
        read = _Reader(payload)
        return cls(
            device=check_device_id(read.text("device", 26)),
            iat=read.integer("iat"),
            uptime_s=read.integer("uptime_s"),
            viewers=read.integer("viewers", most=1000),
            pending=read.integer("pending", most=1000),
            refused=read.counts("refused"),
            ended=read.counts("ended"),
            dropped=read.integer("dropped"),
        )

    def payload(self) -> dict[str, Any]:
        """The JSON object to sign."""
        return _payload(self)


Message = Status | Grant | Offer | Answer | Candidate | Bye | Renew | Move | Revoke | Telemetry


def kind_of(message: Message) -> str:
    """Name a message's kind, as its `typ` has it."""
    return type(message).__name__.lower()


def _payload(message: Any) -> dict[str, Any]:
    return {field.name: getattr(message, field.name) for field in dataclasses.fields(message)}


class _Reader:
    """Takes members out of a JSON object; what is missing or of another type refuses the message."""

    def __init__(self, payload: Mapping[str, Any]) -> None:
        self._payload = payload

    def text(self, name: str, most: int, *, empty: bool = False) -> str:
        value = self._payload.get(name)
        if not isinstance(value, str) or len(value) > most or (not value and not empty) or _SURROGATE.search(value):
            raise Malformed(f"{name} is a string of at most {most} characters")
        return value

    def base64url(self, name: str, least: int, most: int) -> str:
        value = self.text(name, most)
        if len(value) < least or not _BASE64URL.fullmatch(value):
            raise Malformed(f"{name} is base64url of {least} to {most} characters")
        return value

    def integer(self, name: str, most: int = 2**53) -> int:
        value = self._payload.get(name)
        if type(value) is not int or not 0 <= value <= most:
            raise Malformed(f"{name} is an integer from 0 to {most}")
        return value

    def one_of(self, name: str, allowed: set[str] | frozenset[str]) -> str:
        value = self.text(name, 64)
        if value not in allowed:
            raise Malformed(f"{name} is one of {', '.join(sorted(allowed))}")
        return value

    def counts(self, name: str) -> Mapping[str, int]:
        value = self.table(name)
        if len(value) > _MOST_COUNTERS or not all(_COUNTER.fullmatch(counter) for counter in value):
            raise Malformed(f"{name} has at most {_MOST_COUNTERS} counters, each with a short name")
        counters = _Reader(value)
        return {counter: counters.integer(counter) for counter in value}

    def camera(self, name: str) -> str:
        """A camera's name, or an empty string."""
        value = self.text(name, 32, empty=True)
        if value and not CAMERA_NAME.fullmatch(value):
            raise Malformed(f"{name} is a camera's name: small letters, digits and hyphens")
        return value

    def cameras(self, name: str) -> tuple[str, ...]:
        value = self._payload.get(name)
        if not isinstance(value, list) or len(value) > MOST_CAMERAS:
            raise Malformed(f"{name} is a list of at most {MOST_CAMERAS} cameras' names")
        return tuple(_Reader({name: entry}).camera(name) for entry in value)

    def table(self, name: str) -> Mapping[str, Any]:
        value = self._payload.get(name)
        if not isinstance(value, dict):
            raise Malformed(f"{name} is an object")
        return value

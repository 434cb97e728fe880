"""What an authoriser gives to a viewer's key, and takes back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Self

from protocol.errors import Malformed
from protocol.messages.reading import Reader, Signed

MAX_GRANT_S: Final = 300
SCOPES: Final = frozenset({"live", "snapshot", "control", "talk"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Grant(Signed):
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
        read = Reader(payload)
        grant = cls(
            iss=read.text("iss", 128),
            sub=read.text("sub", 128),
            aud=read.device("aud"),
            scope=frozenset(read.text("scope", 128).split(" ")),
            iat=read.integer("iat"),
            exp=read.integer("exp"),
            jti=read.text("jti", 64),
            jkt=read.table("cnf").base64url("jkt", 43, 43),
            session_s=read.integer("session_s", most=86_400),
        )
        if not 0 < grant.exp - grant.iat <= MAX_GRANT_S:
            raise Malformed(f"a grant lives for at most {MAX_GRANT_S} s")
        return grant

    def payload(self) -> dict[str, Any]:
        """The JSON object to sign."""
        members = Signed.payload(self)  # super() does not know a class that slots have made anew
        members["scope"] = " ".join(sorted(self.scope))
        members["cnf"] = {"jkt": members.pop("jkt")}
        return members


@dataclass(frozen=True, slots=True, kw_only=True)
class Revoke(Signed):
    """What was granted until `iat` is taken back, and sessions under it end; signed by an authoriser."""

    device: str
    iat: int
    sub: str  # whose grants; empty for everybody's: the device itself was revoked

    @classmethod
    def parse(cls, payload: Mapping[str, Any]) -> Self:
        """Errors: Malformed."""
        read = Reader(payload)
        return cls(device=read.device(), iat=read.integer("iat"), sub=read.text("sub", 128, empty=True))

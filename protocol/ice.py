"""STUN and TURN servers, as configurations name them, and the credentials that end by themselves (pure)."""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from dataclasses import dataclass, field
from typing import Final, Literal

from protocol.errors import Malformed

MAX_SERVERS: Final = 4  # of a kind: each costs every viewer a question, and a TURN server an allocation
_URL: Final = re.compile(
    r"(?P<scheme>stun|turns?):(?:\[(?P<literal>[0-9a-fA-F:.]+)\]|(?P<host>[A-Za-z0-9._-]+))(?::(?P<port>\d{1,5}))?"
    r"(?:\?transport=(?P<transport>udp|tcp))?"
)

Way = Literal["udp", "tcp", "tls"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """One server (RFC 7064, RFC 7065). `way` is how it is spoken to."""

    relays: bool  # TURN, else STUN
    host: str
    port: int
    way: Way


@dataclass(frozen=True, slots=True, kw_only=True)
class Credential:
    """What a TURN server wants to hear; the password shows in no message."""

    username: str
    password: str = field(repr=False)


def parse_server(url: str) -> Server:
    """Read `stun:host[:port]`, `turn:host[:port][?transport=udp|tcp]` or `turns:host[:port]`. Errors: Malformed."""
    read = _URL.fullmatch(url)
    if read is None:
        raise Malformed("neither stun:HOST, turn:HOST nor turns:HOST")
    scheme, transport = read["scheme"], read["transport"]
    if (scheme == "stun" and transport) or (scheme == "turns" and transport == "udp"):
        raise Malformed("STUN goes over UDP, and TURN over TLS over TCP")
    port = int(read["port"] or (5349 if scheme == "turns" else 3478))
    if not 1 <= port <= 65535:
        raise Malformed("a port is 1 to 65535")
    way: Way = "tls" if scheme == "turns" else "tcp" if transport == "tcp" else "udp"
    return Server(relays=scheme != "stun", host=read["literal"] or read["host"], port=port, way=way)


def short_lived(secret: str, *, name: str, until_s: int) -> Credential:
    """Make a credential that a TURN server with this shared secret takes until `until_s`, in seconds since 1970.

    Source: draft-uberti-behave-turn-rest, section 2.2; coturn calls the secret static-auth-secret.
    """
    username = f"{until_s}:{name}"
    digest = hmac.new(secret.encode(), username.encode(), hashlib.sha1).digest()
    return Credential(username=username, password=base64.b64encode(digest).decode())

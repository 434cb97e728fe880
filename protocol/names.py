"""Names: device ids, callers, and the URN in a certificate's SAN that says a role."""

from __future__ import annotations

import base64
import enum
import re
from typing import Final

from protocol.errors import Malformed

_DEVICE_ID: Final = re.compile(r"[a-z2-7]{26}")
_CALLER: Final = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")


class Role(enum.StrEnum):
    """What a certificate may be used for; its SAN URI is `urn:camward:<role>:<name>`."""

    BIRTH = "birth"
    DEVICE = "device"
    AUTHORISER = "authoriser"
    SERVICE = "service"
    APP = "app"
    SERVER = "server"  # has a dNSName instead of a URN


class Issuer(enum.StrEnum):
    """The issuing CAs under the root, one a kind, each named by `urn:camward:ca:<kind>`."""

    BIRTH = "birth"
    DEVICE = "device"
    AUTHORISER = "authoriser"
    CLIENT = "client"  # services and apps: all that may connect to the broker and is no device
    SERVER = "server"


ISSUER_OF: Final = {
    Role.BIRTH: Issuer.BIRTH,
    Role.DEVICE: Issuer.DEVICE,
    Role.AUTHORISER: Issuer.AUTHORISER,
    Role.SERVICE: Issuer.CLIENT,
    Role.APP: Issuer.CLIENT,
    Role.SERVER: Issuer.SERVER,
}


def device_id(random: bytes) -> str:
    """Make a device id, 26 characters of lowercase base32, from 16 random bytes."""
    if len(random) != 16:
        raise ValueError("a device id is made from 16 random bytes")
    return base64.b32encode(random).decode().rstrip("=").lower()


def check_device_id(value: str) -> str:
    """Give `value` back if it is a device id. Errors: Malformed."""
    if not _DEVICE_ID.fullmatch(value):
        raise Malformed("a device id is 26 characters of lowercase base32")
    return value


def check_caller(value: str) -> str:
    """Give `value` back if it may stand in a reply topic: 1 to 63 of a-z, 0-9 and '-'. Errors: Malformed."""
    if not _CALLER.fullmatch(value):
        raise Malformed("a caller's name is 1 to 63 characters of a-z, 0-9 and '-'")
    return value


def role_urn(role: Role, name: str) -> str:
    """Say a role as a SAN URI (protocol.md, names and certificates)."""
    return f"urn:camward:{role}:{name}"


def issuer_urn(issuer: Issuer) -> str:
    """Say which kind of leaf an issuing CA may sign, as its SAN URI."""
    return f"urn:camward:ca:{issuer}"

"""Members out of a JSON object, each of its type and within its bounds, and a message back into one."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping
from typing import Any, Final

from protocol.errors import Malformed
from protocol.names import check_device_id

CAMERA_NAME: Final = re.compile(r"[a-z0-9]([a-z0-9-]{0,30}[a-z0-9])?")
MOST_CAMERAS: Final = 4
_SURROGATE: Final = re.compile("[\ud800-\udfff]")  # JSON can escape half a character, and no encoder takes one
_COUNTER: Final = re.compile(r"[a-z][a-z-]{0,31}")
_MOST_COUNTERS: Final = 64
_BASE64URL: Final = re.compile(r"[A-Za-z0-9_-]+")


class Signed:
    """What any message is: a frozen dataclass whose fields are the members of the JSON object that is signed."""

    __slots__ = ()

    def payload(self) -> dict[str, Any]:
        """The JSON object to sign."""
        return {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}  # type: ignore[arg-type]


class Reader:
    """Takes members out of a JSON object. Errors: Malformed, for what is missing or of another type."""

    def __init__(self, payload: Mapping[str, Any]) -> None:
        self._payload = payload

    def device(self, name: str = "device") -> str:
        """A device id."""
        return check_device_id(self.text(name, 26))

    def sid(self) -> str:
        """A call's 128 random bits."""
        return self.base64url("sid", 22, 22)

    def seq(self) -> int:
        """What rises with each message of one side of a call."""
        return self.integer("seq", most=1_000_000)

    def grant(self) -> str:
        """A compact JWS."""
        return self.text("grant", 16_384)

    def camera(self, name: str) -> str:
        """A camera's name, or nothing."""
        value = self.text(name, 32, empty=True)
        if value and not CAMERA_NAME.fullmatch(value):
            raise Malformed(f"{name} is a camera's name: small letters, digits and hyphens")
        return value

    def cameras(self, name: str) -> tuple[str, ...]:
        """Cameras' names, in order."""
        value = self._payload.get(name)
        if not isinstance(value, list) or len(value) > MOST_CAMERAS:
            raise Malformed(f"{name} is a list of at most {MOST_CAMERAS} cameras' names")
        return tuple(Reader({name: entry}).camera(name) for entry in value)

    def text(self, name: str, most: int, *, empty: bool = False) -> str:
        """So many characters at most, and one at least unless it may be `empty`."""
        value = self._payload.get(name)
        if not isinstance(value, str) or len(value) > most or (not value and not empty) or _SURROGATE.search(value):
            raise Malformed(f"{name} is a string of at most {most} characters")
        return value

    def base64url(self, name: str, least: int, most: int) -> str:
        """From `least` to `most` characters of that alphabet."""
        value = self.text(name, most)
        if len(value) < least or not _BASE64URL.fullmatch(value):
            raise Malformed(f"{name} is base64url of {least} to {most} characters")
        return value

    def integer(self, name: str, most: int = 2**53) -> int:
        """From 0 to `most`; neither a fraction nor true."""
        value = self._payload.get(name)
        if type(value) is not int or not 0 <= value <= most:
            raise Malformed(f"{name} is an integer from 0 to {most}")
        return value

    def one_of(self, name: str, allowed: set[str] | frozenset[str]) -> str:
        """One of these words."""
        value = self.text(name, 64)
        if value not in allowed:
            raise Malformed(f"{name} is one of {', '.join(sorted(allowed))}")
        return value

    def counts(self, name: str) -> Mapping[str, int]:
        """Counters by their names."""
        value = self._payload.get(name)
        if not isinstance(value, dict) or len(value) > _MOST_COUNTERS or not all(map(_COUNTER.fullmatch, value)):
            raise Malformed(f"{name} is an object of at most {_MOST_COUNTERS} counters, each with a short name")
        counters = Reader(value)
        return {counter: counters.integer(counter) for counter in value}

    def table(self, name: str) -> Reader:
        """An object, to be read in turn."""
        value = self._payload.get(name)
        if not isinstance(value, dict):
            raise Malformed(f"{name} is an object")
        return Reader(value)

"""All the ways to change one thing in a compact JWS and keep its signature: each JSON member, each byte."""

from __future__ import annotations

import base64
import json
import string
from collections.abc import Iterator
from typing import Any

from protocol.jws import base64url

_ALPHABET = string.ascii_uppercase + string.ascii_lowercase + string.digits + "-_"
_FOLLOWER = dict(zip(_ALPHABET, _ALPHABET[1:] + _ALPHABET[0], strict=True)) | {".": "A"}


def bytes_flipped(compact: str) -> Iterator[str]:
    """One variant for each byte: another character of the same alphabet, so that it still decodes."""
    for place, character in enumerate(compact):
        yield compact[:place] + _FOLLOWER[character] + compact[place + 1 :]


def members_flipped(compact: str) -> Iterator[str]:
    """Several variants for each member of header and payload, and of what is nested in them, a grant included."""
    header, payload, signature = compact.split(".")
    for changed in _changes(_decoded(header)):
        yield f"{_encoded(changed)}.{payload}.{signature}"
    for changed in _changes(_decoded(payload)):
        yield f"{header}.{_encoded(changed)}.{signature}"


def _changes(value: Any) -> Iterator[Any]:
    if isinstance(value, dict):
        for name in value:
            yield {other: value[other] for other in value if other != name}
            for changed in _changes(value[name]):
                yield value | {name: changed}
    elif isinstance(value, list):
        yield []
        for place in range(len(value)):
            for changed in _changes(value[place]):
                yield [*value[:place], changed, *value[place + 1 :]]
    else:
        yield None
        yield [value]
        yield from _other(value)


def _other(value: Any) -> Iterator[Any]:
    if isinstance(value, str):
        yield value + "x"
        if value:
            yield ""
            yield ("A" if value[0] != "A" else "B") + value[1:]
        if value.count(".") == 2 and value.startswith("ey"):
            yield from members_flipped(value)
    elif isinstance(value, int):
        yield value + 1
        yield str(value)


def _decoded(segment: str) -> Any:
    return json.loads(base64.urlsafe_b64decode(segment + "=" * (-len(segment) % 4)))


def _encoded(value: Any) -> str:
    return base64url(json.dumps(value, separators=(",", ":")).encode())

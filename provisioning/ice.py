"""The STUN and TURN servers that viewers are told of, with a credential that ends by itself.

[ice]
stun = ["stun:turn.example:3478"]
turn = ["turn:turn.example:3478", "turns:turn.example:5349"]
turn_secret = "turn.secret"   # a file in the fleet's directory: coturn's static-auth-secret
turn_s = 600                  # how long a viewer may use it to begin
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from protocol.errors import Malformed
from protocol.ice import MAX_SERVERS, parse_server, short_lived

_KEYS: Final = frozenset({"stun", "turn", "turn_secret", "turn_s"})


@dataclass(frozen=True, slots=True, kw_only=True)
class IceServers:
    """The table `ice` of fleet.toml, read."""

    stun: tuple[str, ...] = ()
    turn: tuple[str, ...] = ()
    secret: str = field(default="", repr=False)
    life_s: int = 600

    def for_viewer(self, name: str, now: datetime) -> list[dict[str, Any]]:
        """Give the `iceServers` of an RTCPeerConnection; `name` tells one credential from another."""
        servers: list[dict[str, Any]] = []
        if self.stun:
            servers.append({"urls": list(self.stun)})
        if self.turn:
            made = short_lived(self.secret, name=name, until_s=int(now.timestamp()) + self.life_s)
            servers.append({"urls": list(self.turn), "username": made.username, "credential": made.password})
        return servers


def read_ice(table: Mapping[str, Any], directory: Path) -> IceServers:
    """Read the table. Errors: ValueError, OSError."""
    if unknown := set(table) - _KEYS:
        raise ValueError(f"ice.{min(unknown)} in fleet.toml is not a setting")
    life_s, turn = table.get("turn_s", 600), _urls(table, "turn")
    if type(life_s) is not int or not 60 <= life_s <= 86_400:
        raise ValueError(f"ice.turn_s in fleet.toml is {life_s!r}, and is 60 to 86400")
    secret = (directory / str(table["turn_secret"])).read_text("utf-8").strip() if "turn_secret" in table else ""
    if turn and not secret:
        raise ValueError(
            "ice.turn in fleet.toml needs ice.turn_secret, the file that holds coturn's static-auth-secret"
        )
    return IceServers(stun=_urls(table, "stun"), turn=turn, secret=secret, life_s=life_s)


def _urls(table: Mapping[str, Any], kind: str) -> tuple[str, ...]:
    urls = table.get(kind, [])
    try:
        good = type(urls) is list and all(parse_server(url).relays == (kind == "turn") for url in urls)
    except (Malformed, TypeError):
        good = False
    if not good or len(urls) > MAX_SERVERS:
        raise ValueError(f"ice.{kind} in fleet.toml is a list of at most {MAX_SERVERS}, {kind}:HOST:PORT each")
    return tuple(urls)

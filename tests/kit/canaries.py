"""Secrets that must be found nowhere, and where a machine would show them: logs, command lines, environments."""

from __future__ import annotations

import contextlib
import re
import socket
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import psutil

_JWS: Final = re.compile(r"eyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]{8,}")  # header and payload are JSON objects in base64url
_PEM_KEY: Final = re.compile(r"-----BEGIN (?:EC )?PRIVATE KEY-----\s+(.+?)-----END", re.DOTALL)
_SDP: Final = re.compile(r"^a=(?:ice-pwd|ice-ufrag):(\S+)|^a=candidate:(?:\S+ ){4}(\S+)|^c=IN IP\d (\S+)", re.MULTILINE)
_NOWHERE: Final = {"0.0.0.0", "::", "127.0.0.1", "::1"}  # noqa: S104  # addresses that tell nothing of anybody


@dataclass
class Canaries:
    """What is looked for, by a name to report it under."""

    secrets: dict[str, str] = field(default_factory=dict)

    def add(self, name: str, secret: str) -> None:
        """Look for this too."""
        assert len(secret) >= 4, f"{name} is too short to be looked for"
        self.secrets[name] = secret

    def add_keys(self, directory: Path) -> None:
        """Look for each private key in the PEM files under `directory`, by every line of its base64."""
        for path in (*directory.rglob("*.pem"), *directory.rglob("*.key")):
            for number, key in enumerate(_PEM_KEY.findall(path.read_text())):
                for line, text in enumerate(key.split()):
                    self.add(f"{path.relative_to(directory)}, key {number}, line {line}", text)

    def add_sdp(self, sdp: str) -> None:
        """Look for the addresses and the ICE credentials in a description."""
        for number, match in enumerate(_SDP.finditer(sdp)):
            text = match[1] or match[2] or match[3]
            if text not in _NOWHERE:
                self.add(f"SDP, {number}", text)

    def add_addresses(self) -> None:
        """Look for every address of this machine by which a viewer on it could be reached."""
        for interface, addresses in psutil.net_if_addrs().items():
            for number, address in enumerate(addresses):
                text = address.address.partition("%")[0]
                if address.family in {socket.AF_INET, socket.AF_INET6} and text not in _NOWHERE:
                    self.add(f"address {number} of {interface}", text)

    def found_in(self, text: str) -> list[str]:
        """Name what stands in `text`; a signed message is nowhere welcome, whoever made it."""
        found = [name for name, secret in self.secrets.items() if secret in text]
        return found + ["a signed message"] * bool(_JWS.search(text))


def processes() -> Iterator[tuple[str, str]]:
    """Give the command line and the environment of every process of this machine, each with a name."""
    for directory in Path("/proc").glob("[0-9]*"):
        for what in ("cmdline", "environ"):
            with contextlib.suppress(OSError):  # it has ended meanwhile
                text = (directory / what).read_bytes().replace(b"\0", b"\n").decode(errors="replace")
                yield f"{what} of process {directory.name}", text

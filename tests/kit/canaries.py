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
_PASSWORD: Final = re.compile(r"^a=ice-pwd:(\S+)", re.MULTILINE)
_ADDRESS: Final = re.compile(r"^a=candidate:(?:\S+ ){4}(\S+)|^c=IN IP\d (\S+)", re.MULTILINE)
_NOWHERE: Final = {"0.0.0.0", "::", "127.0.0.1", "::1"}  # noqa: S104  # addresses that tell nothing of anybody


@dataclass
class Canaries:
    """What is looked for, by a name to report it under. `addresses` are welcome in other processes, and in no log."""

    secrets: dict[str, str] = field(default_factory=dict)
    addresses: dict[str, str] = field(default_factory=dict)

    def add(self, name: str, secret: str) -> None:
        """Look for this too."""
        assert len(secret) >= 8, f"{name} is too short to be looked for"
        self.secrets[name] = secret

    def add_keys(self, directory: Path) -> None:
        """Look for each private key in the PEM files under `directory`, by every line of its base64."""
        for path in (*directory.rglob("*.pem"), *directory.rglob("*.key")):
            for number, key in enumerate(_PEM_KEY.findall(path.read_text())):
                for line, text in enumerate(key.split()):
                    self.add(f"{path.relative_to(directory)}, key {number}, line {line}", text)

    def add_sdp(self, sdp: str) -> None:
        """Look for the addresses and the ICE password in a description."""
        for number, match in enumerate(_PASSWORD.finditer(sdp)):
            self.add(f"ICE password {number} of {match[1][:4]}...", match[1])
        for match in _ADDRESS.finditer(sdp):
            self._add_address("a description", match[1] or match[2])

    def add_addresses(self) -> None:
        """Look for every address of this machine by which a viewer on it could be reached."""
        for interface, addresses in psutil.net_if_addrs().items():
            for address in addresses:
                if address.family in {socket.AF_INET, socket.AF_INET6}:
                    self._add_address(interface, address.address.partition("%")[0])

    def in_log(self, text: str) -> list[str]:
        """Name what stands in a log; a signed message is not welcome there, whoever made it."""
        found = [name for name, address in self.addresses.items() if address in text]
        return self.in_process(text) + found + ["a signed message"] * bool(_JWS.search(text))

    def in_process(self, text: str) -> list[str]:
        """Name what stands in the command line or the environment of a process, be it whose it may."""
        return [name for name, secret in self.secrets.items() if secret in text]

    def _add_address(self, where: str, address: str) -> None:
        if address not in _NOWHERE:
            self.addresses[f"address {address} of {where}"] = address


def processes() -> Iterator[tuple[str, str]]:
    """Give the command line and the environment of every process of this machine, each with a name."""
    for directory in Path("/proc").glob("[0-9]*"):
        for what in ("cmdline", "environ"):
            with contextlib.suppress(OSError):  # it has ended meanwhile
                text = (directory / what).read_bytes().replace(b"\0", b"\n").decode(errors="replace")
                yield f"{what} of process {directory.name}", text

"""Pure: mosquitto's configuration and rules, from the one table in `protocol.topics`.

mosquitto tells its clients apart by user name alone, which is the certificate's CN, and a `pattern` line is for every
client. A device's CN is its id and nobody else is ever named in that form (`people.check_name`), so that a device's
patterns give an app nothing; services and apps have sections of their own, under names that no device can have.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from protocol.jws import MAX_MESSAGE
from protocol.names import Role
from protocol.topics import RULES

GATEWAY: Final = "gateway"
MAX_PACKET: Final = MAX_MESSAGE + 1024  # a message, its topic and its properties
CIPHERS: Final = (
    "ECDHE+AESGCM:ECDHE+CHACHA20"  # of TLS 1.2, for OpenSSL, at every server of the fleet; 1.3 has no others
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Listener:
    """What mosquitto listens with; the files are PEM."""

    port: int
    anchors: (
        Path  # the anchors of devices and of services and apps, and no other: a birth certificate is refused by TLS
    )
    certificate: Path  # chain
    key: Path
    crl: Path  # one list for each anchor, or OpenSSL takes no client at all
    rules: Path
    address: str | None = None  # None is every address
    user: str | None = None  # whom mosquitto becomes when root starts it; it must be able to read the key


def rules(apps: Iterable[str]) -> str:
    """Write the ACL file. What it does not name is denied."""
    sections = [
        "# Written by `camward fleet serve` from protocol/topics.py; changes made here are lost.",
        "# Devices: %u is the name in the certificate.",
        *(f"pattern {rule.access} {rule.topic.replace('{self}', '%u')}" for rule in RULES if rule.role is Role.DEVICE),
        *_section(Role.SERVICE, GATEWAY),
    ]
    for name in sorted(apps):
        sections += _section(Role.APP, name)
    return "\n".join([*sections, ""])


def configuration(listener: Listener) -> str:
    """Write mosquitto.conf, for 2.0 and later."""
    lines = [
        "# Written by `camward fleet serve`; changes made here are lost.",
        "per_listener_settings false",
        "allow_anonymous false",
        "persistence false",
        f"acl_file {listener.rules}",
        f"max_packet_size {MAX_PACKET}",
        "max_inflight_messages 20",
        "max_queued_messages 100",
        "max_keepalive 1200",
        "log_dest stderr",
        *([f"user {listener.user}"] if listener.user else []),
        f"listener {listener.port}" + (f" {listener.address}" if listener.address else ""),
        f"cafile {listener.anchors}",
        f"certfile {listener.certificate}",
        f"keyfile {listener.key}",
        f"crlfile {listener.crl}",
        "require_certificate true",
        "use_identity_as_username true",
        "# One connection a name: nobody ends another's by taking its client id, and a clone is seen as a takeover.",
        "use_username_as_clientid true",
        "tls_version tlsv1.2",
        f"ciphers {CIPHERS}",
    ]
    return "\n".join([*lines, ""])


def _section(role: Role, name: str) -> list[str]:
    topics = [f"topic {rule.access} {rule.topic.replace('{self}', name)}" for rule in RULES if rule.role is role]
    return ["", f"user {name}", *topics]

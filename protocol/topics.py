"""MQTT topics, and who may read and write each: the one table that every broker's rules come from."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import Final

from protocol.names import Role, check_caller, check_device_id

PREFIX: Final = "camward/1"


class Access(enum.StrEnum):
    """What a client may do with a topic, in the broker's sense."""

    READ = "read"
    WRITE = "write"


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One permission. In `topic`, `{self}` is the client's own name, `+` one level of any device."""

    role: Role
    access: Access
    topic: str


def _rules(role: Role, access: Access, *topics: str) -> list[Rule]:
    return [Rule(role=role, access=access, topic=f"{PREFIX}/{topic}") for topic in topics]


RULES: Final = (
    *_rules(
        Role.DEVICE,
        Access.WRITE,
        "{self}/status",
        "{self}/reply/+",
        "{self}/event/+",
        "{self}/telemetry",
    ),
    *_rules(Role.DEVICE, Access.READ, "{self}/call", "{self}/config", "{self}/control"),
    *_rules(Role.SERVICE, Access.WRITE, "+/call", "+/config", "+/control"),
    *_rules(Role.SERVICE, Access.READ, "+/status", "+/reply/{self}", "+/event/+", "+/telemetry"),
    *_rules(Role.APP, Access.WRITE, "+/call", "+/control"),
    *_rules(Role.APP, Access.READ, "+/status", "+/reply/{self}", "+/event/+"),
)
"""Everything not listed is denied. An app calls any device here; which one lets it in, the signed grant decides."""


def status(device: str) -> str:
    """Presence, retained, and the device's will."""
    return f"{PREFIX}/{check_device_id(device)}/status"


def call(device: str) -> str:
    """Offers, candidates and byes to a device."""
    return f"{PREFIX}/{check_device_id(device)}/call"


def reply(device: str, caller: str) -> str:
    """Answers, candidates and byes of a device to one caller."""
    return f"{PREFIX}/{check_device_id(device)}/reply/{check_caller(caller)}"


def control(device: str) -> str:
    """What the fleet says to a device."""
    return f"{PREFIX}/{check_device_id(device)}/control"


def telemetry(device: str) -> str:
    """Figures of a device, every minute."""
    return f"{PREFIX}/{check_device_id(device)}/telemetry"


def every_status() -> str:
    """The filter for all devices' presence."""
    return f"{PREFIX}/+/status"


def every_reply(caller: str) -> str:
    """The filter for whatever any device says to `caller`."""
    return f"{PREFIX}/+/reply/{check_caller(caller)}"


def device_of(topic: str) -> str:
    """Name the device that a topic belongs to. Errors: Malformed."""
    levels = topic.split("/")
    return check_device_id(levels[2] if len(levels) > 3 else "")


def allowed(role: Role, name: str, access: Access, topic: str) -> bool:
    """Decide whether a client may read or write `topic`, which may be a filter when reading."""
    return any(
        rule.role is role and rule.access is access and _covers(rule.topic.replace("{self}", name), topic)
        for rule in RULES
    )


def _covers(pattern: str, topic: str) -> bool:
    """Every topic that `topic` matches is matched by `pattern` too (MQTT 5, section 4.7)."""
    wanted, given = pattern.split("/"), topic.split("/")
    return len(wanted) == len(given) and all(
        w == g or (w == "+" and g not in {"#", ""}) for w, g in zip(wanted, given, strict=True)
    )

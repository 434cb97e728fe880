"""What a device says of itself to whoever may listen."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from protocol.messages.reading import Reader, Signed


@dataclass(frozen=True, slots=True, kw_only=True)
class Status(Signed):
    """Presence, retained; signed by the device."""

    device: str
    presence: str  # online or offline
    iat: int  # seconds since 1970
    challenge: str  # what an offer must name; empty when offline
    viewers: int
    camera: str  # where the picture comes from, for people; the first camera's
    cameras: tuple[str, ...] = ()  # what an offer may name, the first one first; empty where there is only one
    software: str

    @classmethod
    def parse(cls, payload: Mapping[str, Any]) -> Self:
        """Errors: Malformed."""
        read = Reader(payload)
        return cls(
            device=read.device(),
            presence=read.one_of("presence", {"online", "offline"}),
            iat=read.integer("iat"),
            challenge=read.text("challenge", 64, empty=True),
            viewers=read.integer("viewers", most=1000),
            camera=read.text("camera", 64, empty=True),
            cameras=read.cameras("cameras"),
            software=read.text("software", 64, empty=True),
        )

    def payload(self) -> dict[str, Any]:
        """The JSON object to sign."""
        return Signed.payload(self) | {"cameras": list(self.cameras)}  # super() does not know a class with slots


@dataclass(frozen=True, slots=True, kw_only=True)
class Telemetry(Signed):
    """Figures of a device, every minute; signed by the device. Counters rise from its start on."""

    device: str
    iat: int
    uptime_s: int
    viewers: int
    pending: int  # calls being set up
    refused: Mapping[str, int]  # messages on the call topic that came to nothing, by reason
    ended: Mapping[str, int]  # sessions, by the reason of their end
    dropped: int  # MQTT messages that found no room in a queue, either way
    datagrams: Mapping[str, int]  # that did not pass at the sockets of sessions, by reason

    @classmethod
    def parse(cls, payload: Mapping[str, Any]) -> Self:
        """Errors: Malformed."""
        read = Reader(payload)
        return cls(
            device=read.device(),
            iat=read.integer("iat"),
            uptime_s=read.integer("uptime_s"),
            viewers=read.integer("viewers", most=1000),
            pending=read.integer("pending", most=1000),
            refused=read.counts("refused"),
            ended=read.counts("ended"),
            dropped=read.integer("dropped"),
            datagrams=read.counts("datagrams"),
        )

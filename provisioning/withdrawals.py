"""Which withdrawn permissions a device may not have heard of, because it was offline then (pure)."""

from __future__ import annotations

from collections import deque
from datetime import datetime, timedelta
from typing import Final

from protocol.messages import MAX_GRANT_S
from provisioning.grants import SESSION_S
from provisioning.people import WITHDRAWN
from provisioning.registry import Event

LASTS: Final = timedelta(seconds=MAX_GRANT_S + SESSION_S)  # until the last session under a grant from before has ended
MOST: Final = 1024  # withdrawals; for the oldest of more, sessions end with their grant
MOST_TOLD: Final = 64  # people at once to one device; the newest withdrawals count


class Withdrawals:
    """Remembers the newest of a registry's events of that kind; others are passed over."""

    def __init__(self) -> None:
        self._events: deque[Event] = deque(maxlen=MOST)

    def note(self, event: Event) -> None:
        """Take in an event, in the order of the registry."""
        if event.kind == WITHDRAWN:
            self._events.append(event)

    def concerning(self, device: str, now: datetime) -> list[str]:
        """Name whose sessions with a device may outlive a withdrawal, if it did not hear of it."""
        since = now - LASTS
        recent = (event for event in reversed(self._events) if event.device in {None, device} and event.at >= since)
        return list(dict.fromkeys(map(person_of, recent)))[:MOST_TOLD]


def person_of(event: Event) -> str:
    """Say who may do less since a withdrawal."""
    return event.note.partition(" ")[0]

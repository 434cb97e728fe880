"""What the fleet believes of its devices: statuses that verify, the certificate in use, and a line at each change."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime

from cryptography import x509

from protocol import jws
from protocol.errors import ProtocolError
from protocol.messages import Status
from protocol.names import Role
from provisioning.errors import Unknown
from provisioning.registry import Registry


class Presence:
    """Takes each new status of a device; `say` gets a line when it comes, goes, or is watched.

    `returned` is awaited for each device that is online, and was not or may not have been.
    """

    def __init__(
        self,
        *,
        root: x509.Certificate,
        registry: Registry,
        clock: Callable[[], datetime],
        say: Callable[[str], None],
        returned: Callable[[str], Awaitable[None]],
    ) -> None:
        self._root, self._registry, self._clock, self._say = root, registry, clock, say
        self._returned = returned
        self._here: set[str] = set()  # online, ever since the broker was there
        self._last: dict[str, Status] = {}  # of devices in the registry alone

    async def arrived(self, device: str, message: str) -> None:
        """Believe a status if the device signed it; a forged one changes nothing."""
        now = self._clock()
        try:
            unverified = jws.peek(message)
            identity = jws.verify_by_chain(unverified, "status", root=self._root, role=Role.DEVICE, now=now)
            status = Status.parse(unverified.payload)
        except ProtocolError:
            return
        if identity.name != device or status.device != device:
            return
        try:
            label = (await asyncio.to_thread(self._registry.device, device)).label
        except Unknown:
            return
        await asyncio.to_thread(self._registry.seen, identity.leaf.serial_number, now)
        before, self._last[device] = self._last.get(device), status
        if line := change(before, status):
            self._say(f"{label}: {line}")
        if status.presence != "online":
            self._here.discard(device)
        elif device not in self._here:
            self._here.add(device)
            await self._returned(device)

    def lost(self) -> None:
        """Note that there is no broker to say who comes and goes."""
        self._here.clear()


def change(before: Status | None, now: Status) -> str | None:
    """Say what is new in a status, in one plain line."""
    online, was_online = now.presence == "online", before is not None and before.presence == "online"
    if online != was_online:
        return "connected" if online else "disconnected"
    joined = now.viewers - (before.viewers if before else 0)
    if not joined:
        return None
    count = "a viewer" if abs(joined) == 1 else f"{abs(joined)} viewers"
    return f"{count} {'joined' if joined > 0 else 'left'}, {now.viewers} watching"

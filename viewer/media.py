"""The camera's pictures, over one connection after the other."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from viewer.call import IceServer
from viewer.errors import NotVerified, ViewError
from viewer.reassembly import Packet, Reassembly, Unit
from viewer.receive import Receiver


class Media:
    """`on_unit` gets each picture; `on_end` hears why no more will come over the connection that brought them.

    A connection takes over with its first packet; until then the one before it goes on.
    """

    def __init__(
        self, servers: Sequence[IceServer], *, on_unit: Callable[[Unit], None], on_end: Callable[[ViewError], None]
    ) -> None:
        self.heard_at: float | None = None  # when something came last, over the connection that brings the pictures
        self.broken: ViewError | None = None  # why that connection is no use any more
        self.moved = asyncio.Event()  # the newest connection brings the pictures
        self.servers = servers  # of the next connection
        self._on_unit = on_unit
        self._on_end = on_end
        self._now = asyncio.get_running_loop().time
        self._reassembly = Reassembly()
        self._carrying: Receiver | None = None
        self._following: Receiver | None = None
        self._closing: set[asyncio.Task[None]] = set()

    @property
    def packets_lost(self) -> int:
        """How many packets never arrived, resent ones included."""
        return self._reassembly.packets_lost

    def connect(self) -> Receiver:
        """Make a connection that is to bring the pictures; one that never did is given up for it."""
        made = Receiver(
            self.servers,
            on_packet=lambda packet: self._take(made, packet),
            on_report=lambda: self._heard(made),
            on_end=lambda why: self._over(made, why),
        )
        self.moved.clear()
        if self._carrying is None:
            self._carrying = made
        else:
            self._retire(self._following)
            self._following = made
        return made

    async def close(self) -> None:
        """Hang up."""
        self._retire(self._carrying)
        self._retire(self._following)
        self._carrying = self._following = None
        await asyncio.gather(*self._closing)

    def _take(self, receiver: Receiver, packet: Packet) -> bool:
        if receiver is self._following:
            self._retire(self._carrying)
            self._carrying, self._following = receiver, None
            self.broken = None
            self._reassembly.restart()
        if receiver is not self._carrying:
            return False
        self.moved.set()
        now = self.heard_at = self._now()
        for unit in self._reassembly.add(packet, now):
            self._on_unit(unit)
        return self._reassembly.wants_keyframe(now)

    def _heard(self, receiver: Receiver) -> None:
        if receiver is self._carrying and self.heard_at is not None:
            self.heard_at = self._now()

    def _over(self, receiver: Receiver, why: ViewError) -> None:
        if receiver is self._carrying:
            self.broken = why
        if receiver is self._carrying or isinstance(why, NotVerified):
            self._on_end(why)

    def _retire(self, receiver: Receiver | None) -> None:
        if receiver is not None:
            closing = asyncio.get_running_loop().create_task(receiver.close(), name="hang-up")
            self._closing.add(closing)
            closing.add_done_callback(self._closing.discard)

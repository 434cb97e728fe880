"""A viewer whose ICE is real and whose DTLS is whatever is connected to a port of this machine."""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import AsyncIterator, Callable

import aioice

from agent.tasks import end


def attribute(sdp: str, name: str) -> list[str]:
    """The values of an attribute, in their order."""
    return re.findall(rf"^a={name}:(.*?)\r?$", sdp, re.MULTILINE)


class Borrowed(asyncio.DatagramProtocol):
    """What is sent to `port` of 127.0.0.1 leaves over the pair that succeeded; what comes back goes to its sender."""

    def __init__(self) -> None:
        self.ice = aioice.Connection(ice_controlling=True)
        self.port = 0
        self.received: list[bytes] = []
        self._local: asyncio.DatagramTransport | None = None
        self._peer: tuple[str, int] | None = None
        self._outward: asyncio.Queue[bytes] = asyncio.Queue()
        self._tasks: list[asyncio.Task[None]] = []

    async def open(self) -> None:
        """Find our own candidates, and listen at the port."""
        await self.ice.gather_candidates()
        loop = asyncio.get_running_loop()
        self._local, _ = await loop.create_datagram_endpoint(lambda: self, local_addr=("127.0.0.1", 0))
        self.port = self._local.get_extra_info("sockname")[1]

    def offers(self, *fingerprints: str) -> Callable[[str], str]:
        """Change an offer so that it is this viewer's, who begins DTLS, with a certificate of these fingerprints."""

        def change(sdp: str) -> str:
            replaced = ("a=candidate", "a=end-of", "a=ice-", "a=fingerprint", "a=setup")
            lines = [line for line in sdp.splitlines() if not line.startswith(replaced)]
            lines += [f"a=ice-ufrag:{self.ice.local_username}", f"a=ice-pwd:{self.ice.local_password}"]
            lines += ["a=setup:active", *(f"a=fingerprint:{fingerprint}" for fingerprint in fingerprints)]
            lines += [f"a=candidate:{candidate.to_sdp()}" for candidate in self.ice.local_candidates]
            return "\r\n".join(lines) + "\r\n"

        return change

    async def accept(self, answer: str) -> None:
        """Connect as the answer says, and carry from then on."""
        (self.ice.remote_username,) = attribute(answer, "ice-ufrag")
        (self.ice.remote_password,) = attribute(answer, "ice-pwd")
        for candidate in attribute(answer, "candidate"):
            await self.ice.add_remote_candidate(aioice.Candidate.from_sdp(candidate))
        await self.ice.add_remote_candidate(None)
        await self.ice.connect()
        self._tasks += [asyncio.create_task(self._carry_out()), asyncio.create_task(self._carry_back())]

    async def close(self) -> None:
        """Carry no more."""
        await end(*self._tasks)
        if self._local is not None:
            self._local.close()
        await self.ice.close()

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        self._peer = addr
        self._outward.put_nowait(data)

    async def _carry_out(self) -> None:
        while True:
            await self.ice.send(await self._outward.get())

    async def _carry_back(self) -> None:
        while True:
            self.received.append(data := await self.ice.recv())
            if self._local is not None and self._peer is not None:
                self._local.sendto(data, self._peer)


@contextlib.asynccontextmanager
async def borrowed() -> AsyncIterator[Borrowed]:
    """Such a viewer, until the end of the block."""
    viewer = Borrowed()
    try:
        await viewer.open()
        yield viewer
    finally:
        await viewer.close()

"""The way over the fleet's gateway: one WebSocket that relays the signed messages."""

from __future__ import annotations

import contextlib
import json
from collections.abc import AsyncIterator

import aiohttp

from viewer.errors import Declined, Fault, NoPicture
from viewer.fleet import Fleet


class Gateway:
    """A Transport to one device."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse, device: str) -> None:
        self._socket = socket
        self._device = device

    @classmethod
    @contextlib.asynccontextmanager
    async def connect(cls, fleet: Fleet, device: str) -> AsyncIterator[Gateway]:
        """Open the WebSocket of somebody who is signed in. Errors: ViewError."""
        async with fleet.call() as socket:
            yield cls(socket, device)

    async def send(self, message: str) -> None:
        """Send to the device. Errors: Fault."""
        try:
            await self._socket.send_json({"device": self._device, "message": message})
        except (aiohttp.ClientError, OSError) as error:
            raise _closed() from error

    async def receive(self) -> str:
        """Wait for the next message of the device. Errors: Declined and NoPicture for what the gateway says, Fault."""
        while True:
            try:
                frame = await self._socket.receive()
            except (aiohttp.ClientError, OSError) as error:
                raise _closed() from error
            if frame.type is not aiohttp.WSMsgType.TEXT:
                raise _closed()
            try:
                said = json.loads(frame.data)
            except (ValueError, RecursionError):
                continue
            if not isinstance(said, dict) or said.get("device") not in {self._device, ""}:
                continue  # the gateway tells the status of every device that its person may see
            if (reason := said.get("error")) == "offline":
                raise NoPicture(reason)
            if isinstance(reason, str):
                raise Declined(reason[:64])
            if isinstance(message := said.get("message"), str):
                return message


def _closed() -> Fault:
    return Fault("relay-closed", "The connection to the fleet broke.")

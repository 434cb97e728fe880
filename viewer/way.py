"""A way to the device that can be made anew: one from an address that is gone hangs until some timeout says so."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from typing import Final

from viewer.call import Transport
from viewer.errors import ViewError

_CLOSE_S: Final = 2.0  # what does not close by then is left to the end of the process

Connect = Callable[[], contextlib.AbstractAsyncContextManager[Transport]]


class Way:
    """A Line over what `connect` opens; `open` makes it."""

    def __init__(self, connect: Connect) -> None:
        self._connect = connect
        self._transport: Transport | None = None
        self._stack = contextlib.AsyncExitStack()
        self._closing: set[asyncio.Task[None]] = set()

    @classmethod
    @contextlib.asynccontextmanager
    async def open(cls, connect: Connect) -> AsyncIterator[Way]:
        """Connect. Errors: ViewError."""
        way = cls(connect)
        try:
            await way.anew()
            yield way
        finally:
            way._retire()
            await asyncio.gather(*way._closing)

    async def send(self, message: str) -> None:
        """Send to the device. Errors: ViewError."""
        assert self._transport is not None  # noqa: S101  # `open` made it
        await self._transport.send(message)

    async def receive(self) -> str | bytes:
        """Wait for the next message of the device. Errors: ViewError."""
        assert self._transport is not None  # noqa: S101
        return await self._transport.receive()

    async def anew(self) -> None:
        """Connect from wherever this machine is now; the connection of before is given up then. Errors: ViewError."""
        async with contextlib.AsyncExitStack() as stack:
            transport = await stack.enter_async_context(self._connect())
            self._retire()
            self._transport, self._stack = transport, stack.pop_all()

    def _retire(self) -> None:
        closing = asyncio.get_running_loop().create_task(_close(self._stack), name="close-way")
        self._closing.add(closing)
        closing.add_done_callback(self._closing.discard)


async def _close(stack: contextlib.AsyncExitStack) -> None:
    with contextlib.suppress(ViewError, TimeoutError):
        async with asyncio.timeout(_CLOSE_S):
            await stack.aclose()

"""`GET /v1/call`: one browser's WebSocket, bounded in both directions, between its person and the gateway."""

from __future__ import annotations

import asyncio
import json
from collections import OrderedDict, deque
from collections.abc import Awaitable, Callable
from typing import Any, Final

from aiohttp import WSCloseCode, WSMsgType, web

from protocol.jws import MAX_MESSAGE
from provisioning.gateway import Gateway, Refusal, refused
from provisioning.people import Permissions

MAX_FRAME: Final = 2 * MAX_MESSAGE  # a longer frame ends the socket; a message between the two limits gets "too-long"
MOST_WAITING: Final = 64  # messages that a browser has not taken yet; one more ends its socket, and it opens a new one
BURST: Final = 60  # messages at once: an offer and its candidates, twice
RATE_PER_S: Final = 20.0  # messages a second after that; what is more is dropped, and told once until it gets better
_HEARTBEAT_S: Final = 30.0
_RECHECK_S: Final = 5.0  # whoever is signed out, or loses a permission, hears no more than so long
_FRESH_S: Final = 1.0  # and calls no more than so long

Access = Callable[[], Awaitable[Permissions | None]]
"""Reads what the socket's person may do now; None when signed out."""


class BrowserSocket:
    """One open WebSocket: a `gateway.Socket`."""

    def __init__(self, ws: web.WebSocketResponse, transport: asyncio.Transport, access: Access) -> None:
        self._ws, self._transport, self._access = ws, transport, access
        self._permissions = Permissions(entries=())
        self._checked_at = 0.0
        self._messages: deque[str] = deque()
        self._latest: OrderedDict[str, str] = OrderedDict()  # only the newest status of a device waits
        self._work = asyncio.Event()

    def may_see(self, device: str) -> bool:
        """Whether its person may see the device."""
        return self._permissions.allow(device)

    def deliver(self, message: dict[str, Any], *, replaces: str | None = None) -> None:
        """Queue a message for the browser; one too many ends the socket."""
        text = json.dumps(message, separators=(",", ":"))
        if replaces is not None:
            self._latest[replaces] = text
        elif len(self._messages) < MOST_WAITING:
            self._messages.append(text)
        else:
            self._transport.abort()
        self._work.set()

    async def write(self) -> None:
        """Send what waits, for ever."""
        while True:
            await self._work.wait()
            self._work.clear()
            while self._messages or self._latest:
                text = self._messages.popleft() if self._messages else self._latest.popitem(last=False)[1]
                await self._ws.send_str(text)

    async def check(self, fresh_s: float = 0.0) -> bool:
        """Read the permissions again if older than `fresh_s`; False, and the socket closes, when signed out."""
        now = asyncio.get_running_loop().time()
        if now - self._checked_at < fresh_s:
            return True
        permissions = await self._access()
        if permissions is None:
            await self._ws.close(code=WSCloseCode.POLICY_VIOLATION, message=b"signed-out")
            return False
        self._permissions, self._checked_at = permissions, now
        return True

    async def recheck(self, gateway: Gateway) -> None:
        """Check again and again; whoever may see more gets it."""
        known = self._permissions
        while await self.check():
            if self._permissions != known:
                known = self._permissions
                gateway.refresh(self)
            await asyncio.sleep(_RECHECK_S)

    async def read(self, gateway: Gateway) -> None:
        """Relay what the browser sends until it leaves."""
        bucket, slowed = _Bucket(asyncio.get_running_loop().time()), False
        async for frame in self._ws:
            if frame.type is not WSMsgType.TEXT:
                return
            device, message = _parse(frame.data)
            if not bucket.take(asyncio.get_running_loop().time()):
                if not slowed:
                    slowed = True
                    self.deliver(refused(device, "rate"))
                continue
            slowed = False
            if not await self.check(_FRESH_S):
                return
            try:
                await gateway.relay(self, device, message)
            except Refusal as refusal:
                self.deliver(refused(device, refusal.error))


async def serve_call(request: web.Request, gateway: Gateway, access: Access) -> web.StreamResponse:
    """Serve one WebSocket; its person is signed in and its origin is ours."""
    ws = web.WebSocketResponse(heartbeat=_HEARTBEAT_S, max_msg_size=MAX_FRAME, compress=False)
    transport = request.transport
    await ws.prepare(request)
    if transport is None:
        return ws
    socket = BrowserSocket(ws, transport, access)
    if not await socket.check():
        return ws
    if not gateway.open(socket):
        await ws.close(code=WSCloseCode.TRY_AGAIN_LATER, message=b"too many viewers at once")
        return ws
    beside = [
        asyncio.create_task(socket.write(), name="call-write"),
        asyncio.create_task(socket.recheck(gateway), name="call-recheck"),
    ]
    try:
        await socket.read(gateway)
    finally:
        gateway.close(socket)
        for task in beside:
            task.cancel()
        await asyncio.gather(*beside, return_exceptions=True)
    return ws


class _Bucket:
    """A token bucket: BURST at once, RATE_PER_S after that."""

    def __init__(self, now: float) -> None:
        self._tokens, self._at = float(BURST), now

    def take(self, now: float) -> bool:
        self._tokens = min(BURST, self._tokens + (now - self._at) * RATE_PER_S)
        self._at = now
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True


def _parse(text: str) -> tuple[str, str]:
    """Take device and message out of a frame; what is neither is refused by the gateway as nobody's."""
    try:
        frame = json.loads(text)
    except (ValueError, RecursionError):
        return "", ""
    if not isinstance(frame, dict):
        return "", ""
    device, message = frame.get("device"), frame.get("message")
    return (device, message) if isinstance(device, str) and isinstance(message, str) else ("", "")

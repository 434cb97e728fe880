"""The gateway: relays signed messages between browsers and devices, and is trusted with none of them.

It reads what it relays only to route it: the `sid` of a call, the device of a status. It can sign nothing, so that a
socket that closes sends nothing: its devices notice by themselves.
"""

from __future__ import annotations

import re
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Final, Protocol

from protocol import jws, topics
from protocol.errors import Malformed
from protocol.names import check_device_id
from provisioning.broker import GATEWAY

MOST_SOCKETS: Final = 256  # one more is refused
MOST_CALLS: Final = 16  # of one socket; its oldest is forgotten, and replies to it are dropped
MOST_STATUSES: Final = 10_000  # devices; a status of one more is not kept, and its presence stays unknown
_KINDS: Final = frozenset(map(jws.typ_of, ("offer", "candidate", "bye", "renew", "move")))
_SID: Final = re.compile(r"[A-Za-z0-9_-]{22}")

SENTENCES: Final = {
    "offline": "The camera is not connected.",
    "revoked": "This camera was revoked: it may not be watched any more.",
    "forbidden": "You may not watch this camera.",
    "too-long": "The call is longer than a camera accepts.",
    "rate": "Too many messages at once: wait a moment.",
    "broker": "The fleet has lost its connection to the cameras; it tries again by itself.",
}


class Refusal(Exception):
    """A message that is not relayed; `error` is one of SENTENCES."""

    def __init__(self, error: str) -> None:
        super().__init__(SENTENCES[error])
        self.error = error


class Socket(Protocol):
    """One browser. Both calls return at once; the socket bounds what waits in it."""

    def may_see(self, device: str) -> bool:
        """Whether its person may see the device."""

    def deliver(self, message: dict[str, Any], *, replaces: str | None = None) -> None:
        """Send a message; one that is still waiting under the same `replaces` is dropped for it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Call:
    socket: Socket
    device: str


@dataclass(frozen=True, slots=True, kw_only=True)
class _Status:
    message: str  # as it was signed
    presence: str


class Gateway:
    """Who called what. `publish` sends to a topic, and raises ConnectionError when it cannot."""

    def __init__(self, *, publish: Callable[[str, str], Awaitable[None]]) -> None:
        self._publish = publish
        self._statuses: dict[str, _Status] = {}
        self._sockets: dict[Socket, OrderedDict[str, None]] = {}  # socket -> the sids of its calls, oldest first
        self._calls: dict[str, _Call] = {}
        self._revoked: set[str] = set()
        self.connected = False

    def open(self, socket: Socket) -> bool:
        """Take a socket in and send it every status that it may see; False when there are too many."""
        if len(self._sockets) >= MOST_SOCKETS:
            return False
        self._sockets[socket] = OrderedDict()
        self.refresh(socket)
        return True

    def close(self, socket: Socket) -> None:
        """Forget a socket and its calls. Harmless twice."""
        for sid in self._sockets.pop(socket, ()):
            del self._calls[sid]

    def refresh(self, socket: Socket) -> None:
        """Send every status that the socket may see now, as after a new permission."""
        for device, status in self._statuses.items():
            if socket.may_see(device):
                socket.deliver({"device": device, "message": status.message}, replaces=device)

    def sockets(self) -> list[Socket]:
        """List the open sockets."""
        return list(self._sockets)

    def presence(self, device: str) -> str:
        """Say what the last status said, unverified: online, offline, or unknown."""
        status = self._statuses.get(device)
        return status.presence if status is not None else "unknown"

    def found(self) -> None:
        """Note that the broker is there: the kept statuses come by themselves."""
        self.connected = True

    def lost(self) -> None:
        """Note that the broker is gone, and with it whatever was known of the devices."""
        self.connected = False
        self._statuses.clear()

    async def relay(self, socket: Socket, device: str, message: str) -> None:
        """Pass a browser's message on to a device. Errors: Refusal."""
        if len(message) > jws.MAX_MESSAGE:
            raise Refusal("too-long")
        if device in self._revoked:
            raise Refusal("revoked")
        sid = self._route(socket, device, message)
        if not self.connected:
            raise Refusal("broker")
        if self.presence(device) != "online":
            raise Refusal("offline")
        self._claim(socket, device, sid)
        try:
            await self._publish(topics.call(device), message)
        except ConnectionError as error:
            raise Refusal("broker") from error

    def received(self, topic: str, payload: bytes) -> str | None:
        """Take a device's message in; gives the device whose status is new, if it is one. Drops what fits nowhere."""
        try:
            device = topics.device_of(topic)
            if topic == topics.status(device):
                return self._status(device, payload)
            message = jws.peek(payload)
        except Malformed:
            return None
        call = self._calls.get(str(message.payload.get("sid")))
        if call is not None and call.device == device:  # a device answers its own calls and no other's
            call.socket.deliver({"device": device, "message": message.compact})
        return None

    def status(self, device: str) -> str | None:
        """Give a device's last status as it was signed."""
        status = self._statuses.get(device)
        return status.message if status is not None else None

    def revoke(self, device: str) -> None:
        """Stop relaying for a device, and tell who sees it."""
        self._revoked.add(device)
        self._statuses.pop(device, None)
        for sid, call in [(sid, call) for sid, call in self._calls.items() if call.device == device]:
            del self._calls[sid], self._sockets[call.socket][sid]
        for socket in self._sockets:
            if socket.may_see(device):
                socket.deliver(refused(device, "revoked"), replaces=device)

    def admit(self, device: str) -> None:
        """Relay again for a device that was revoked and has a new owner."""
        self._revoked.discard(device)

    def _status(self, device: str, payload: bytes) -> str | None:
        if device in self._revoked:
            return None
        if not payload:
            self._statuses.pop(device, None)
            return None
        message = jws.peek(payload)
        if message.typ != jws.typ_of("status") or message.payload.get("device") != device:
            return None
        if device not in self._statuses and len(self._statuses) >= MOST_STATUSES:
            return None
        presence = message.payload.get("presence")
        known = presence if presence in {"online", "offline"} else "unknown"
        self._statuses[device] = _Status(message=message.compact, presence=known)
        for socket in self._sockets:
            if socket.may_see(device):
                socket.deliver({"device": device, "message": message.compact}, replaces=device)
        return device

    def _route(self, socket: Socket, device: str, message: str) -> str:
        """Give the sid of a message that this socket may send. Errors: Refusal."""
        try:
            check_device_id(device)
            peeked = jws.peek(message)
        except Malformed as error:
            raise Refusal("forbidden") from error
        sid = peeked.payload.get("sid")
        if peeked.typ not in _KINDS or not isinstance(sid, str) or not _SID.fullmatch(sid):
            raise Refusal("forbidden")
        if not socket.may_see(device):
            raise Refusal("forbidden")
        call = self._calls.get(sid)
        is_offer, is_move = (peeked.typ == jws.typ_of(kind) for kind in ("offer", "move"))
        # Who has lost its socket goes on over another one, and who moves does so perhaps before we know. Only the
        # viewer knows its sid, and what is said under it is signed: another who had it could take the replies away, as
        # whoever relays them can.
        mine = call is None or ((call.socket is socket or is_move) and call.device == device)
        if not mine:
            raise Refusal("forbidden")
        # An offer names its device, and the caller whose topic the answer goes to: nobody calls in another's name.
        if is_offer and (peeked.payload.get("device"), peeked.payload.get("reply")) != (device, GATEWAY):
            raise Refusal("forbidden")
        return sid

    def _claim(self, socket: Socket, device: str, sid: str) -> None:
        """Send what is said under this sid to this socket, and to no other from now on."""
        if (call := self._calls.get(sid)) is not None:
            if call.socket is socket:
                return
            del self._sockets[call.socket][sid]
        sids = self._sockets[socket]
        if len(sids) >= MOST_CALLS:
            oldest, _ = sids.popitem(last=False)
            del self._calls[oldest]
        sids[sid] = None
        self._calls[sid] = _Call(socket=socket, device=device)


def refused(device: str, error: str) -> dict[str, Any]:
    """Say a refusal as a browser gets it."""
    return {"device": device, "error": error, "message": SENTENCES[error]}

"""What a datagram at a session's socket is, and whether it may pass (pure).

The socket hears anybody. A connectivity check passes when it proves that its sender read our answer; all else passes
only from an address whose candidate pair has succeeded. The rest is counted, and gets no reply.
"""

from __future__ import annotations

import enum
import hmac
from collections import deque
from collections.abc import Callable
from dataclasses import asdict, dataclass
from struct import Struct
from typing import Any, Final

Source = tuple[int, str, int]
"""The number of our socket that heard it, and the sender's address and port."""

Receive = Callable[[bytes, tuple[Any, ...]], None]
"""Takes a datagram and where it came from, as the socket's family has that: host and port, with more in IPv6."""

MAX_BYTES: Final = 1500  # more than any packet of a viewer's
MAX_STUN_BYTES: Final = 548  # RFC 8489, section 6.1
MAX_ATTRIBUTES: Final = 24  # a browser's check has ten
MAX_SOURCES: Final = 100  # that checks of one session may come from; as many pairs as ICE forms (RFC 8445, 6.1.2.5)
MAX_NAMED: Final = 100  # addresses that its viewer named, whose checks are heard beyond that
MAX_HELD: Final = 8  # datagrams that came before their pair had succeeded; a flight of DTLS has less
MAX_QUEUED: Final = 64  # datagrams that wait for DTLS

_HEADER: Final = Struct("!HHI12s")
_ATTRIBUTE: Final = Struct("!HH")
_LENGTH: Final = Struct("!H")
_COOKIE: Final = 0x2112A442
_BINDING_REQUEST: Final = 0x0001
_BINDING_RESPONSES: Final = (0x0101, 0x0111)
_USERNAME: Final = 0x0006
_INTEGRITY: Final = 0x0008
_PRIORITY: Final = 0x0024
_INTEGRITY_BYTES: Final = 20  # HMAC-SHA1


class Kind(enum.Enum):
    """What a datagram is to be taken for."""

    DATA = "DTLS, SRTP or SRTCP"
    CHECK = "a STUN request, not yet proven"
    RESPONSE = "a STUN response, not yet matched with a request of ours"
    NOTHING = "dropped, or held"


@dataclass(slots=True)
class Drops:
    """How many datagrams did not pass, and why."""

    empty: int = 0
    over_long: int = 0
    alien: int = 0  # of no protocol that a session speaks (RFC 7983, section 7)
    stranger: int = 0  # data from an address whose pair has not succeeded
    malformed: int = 0  # STUN that cannot be read
    unproven: int = 0  # a check without our user name, or not made with our password
    unasked: int = 0  # a response to no request of ours, or an indication
    forbidden: int = 0  # a valid check from an address that the session does not speak to
    crowd: int = 0  # a check from one address more than a session learns
    forged: int = 0  # SRTCP under another key than the session's, or for the second time
    overflow: int = 0  # DTLS faster than it is read

    def counts(self) -> dict[str, int]:
        """Give those that are not zero, each under its reason."""
        return {name.replace("_", "-"): value for name, value in asdict(self).items() if value}


class MalformedStun(ValueError):
    """A STUN request that cannot be read."""


@dataclass(frozen=True, slots=True)
class _Check:
    """What proves a STUN request. `integrity_at` is where its MESSAGE-INTEGRITY begins."""

    username: bytes
    integrity_at: int
    has_priority: bool


class Guard:
    """Stands before all sockets of one connection, and counts what does not pass in `drops`.

    `may_probe` says which host and port that one speaks to at all.
    """

    def __init__(self, drops: Drops, may_probe: Callable[[str, int], bool]) -> None:
        self.drops = drops
        self._may_probe = may_probe
        self._named: set[tuple[str, int]] = set()
        self._open: set[Source] = set()
        self._checked: set[Source] = set()
        self._held: deque[tuple[Source, bytes]] = deque()

    def sort(self, data: bytes, source: Source) -> Kind:
        """Say what a datagram is to be taken for, by its first byte (RFC 7983, section 7) and its source."""
        size = len(data)
        if not 0 < size <= MAX_BYTES:
            if size:
                self.drops.over_long += 1
            else:
                self.drops.empty += 1
            return Kind.NOTHING
        first = data[0]
        if 20 <= first < 64 or 128 <= first < 192:
            if source in self._open:
                return Kind.DATA
            return self._early(data, source)
        if first < 4:
            return self._sort_stun(data, size)
        self.drops.alien += 1
        return Kind.NOTHING

    def proves(self, data: bytes, source: Source, *, ours: str, theirs: str | None, password: str) -> bool:
        """Whether a STUN request knows both user names and our password (RFC 8445, section 7.3).

        `theirs` is None until their description is known; any will do then.
        """
        try:
            check = _read(data)
        except MalformedStun:
            self.drops.malformed += 1
            return False
        if check is None or not (_names(check, ours, theirs) and _is_sealed(data, check, password)):
            self.drops.unproven += 1
            return False
        return self._learn(source, check)

    def expect(self, host: str, port: int) -> None:
        """Hear checks from an address that the viewer named, however many others a recorded check was sent from."""
        if len(self._named) < MAX_NAMED:
            self._named.add((host, port))

    def succeeded(self, source: Source) -> list[bytes]:
        """Let data pass from an address whose pair has succeeded; gives what was held for that, in order."""
        self._open.add(source)
        due = [data for held_for, data in self._held if held_for == source]
        self._held = deque(entry for entry in self._held if entry[0] != source)
        return due

    def shortcut(self, source: Source, report: Callable[[bytes], None], otherwise: Receive) -> Receive:
        """Give what hands reports from `source` to `report`, and all else to `otherwise`, which asks this guard.

        All goes there where the pair of `source` has not succeeded.
        """
        if source not in self._open:
            return otherwise
        _, host, port = source

        def take(data: bytes, addr: tuple[Any, ...]) -> None:
            if is_report(data) and len(data) <= MAX_BYTES and addr[1] == port and addr[0] == host:
                report(data)
            else:
                otherwise(data, addr)

        return take

    def has_heard(self, source: Source) -> bool:
        """Whether a valid check came from there, before its pair had succeeded."""
        return source in self._checked

    @property
    def has_heard_anybody(self) -> bool:
        """Whether any valid check came, or any pair has succeeded."""
        return bool(self._checked or self._open)

    def account(self) -> str:
        """Say in one line what did not pass; empty when all did."""
        return ", ".join(f"{name} {value}" for name, value in self.drops.counts().items())

    def _early(self, data: bytes, source: Source) -> Kind:
        # A browser begins DTLS when its own check was answered, which is before ours was: what it sends then is held,
        # else each handshake would wait for its first retransmission.
        if source in self._checked and data[0] < 64 and len(self._held) < MAX_HELD:
            self._held.append((source, data))
        else:
            self.drops.stranger += 1
        return Kind.NOTHING

    def _sort_stun(self, data: bytes, size: int) -> Kind:
        if size < _HEADER.size or size > MAX_STUN_BYTES:
            self.drops.malformed += 1
            return Kind.NOTHING
        what, length, cookie, _ = _HEADER.unpack_from(data)
        if length != size - _HEADER.size or length % 4 or cookie != _COOKIE:
            self.drops.malformed += 1
            return Kind.NOTHING
        if what == _BINDING_REQUEST:
            return Kind.CHECK
        if what in _BINDING_RESPONSES:
            return Kind.RESPONSE
        self.drops.unasked += 1
        return Kind.NOTHING

    def _learn(self, source: Source, check: _Check) -> bool:
        if source in self._open:
            return True
        if not check.has_priority:  # a new pair is given that of its first check
            self.drops.malformed += 1
            return False
        if source in self._checked:
            return True
        address = source[1:]
        if not self._may_probe(*address):
            self.drops.forbidden += 1
            return False
        if address not in self._named and len(self._checked) >= MAX_SOURCES:
            self.drops.crowd += 1
            return False
        self._checked.add(source)
        return True


def is_report(data: bytes) -> bool:
    """Whether a datagram is SRTCP (RFC 7983, section 7; RFC 5761, section 4)."""
    return len(data) > 1 and 128 <= data[0] < 192 and 192 <= data[1] < 224


def _read(data: bytes) -> _Check | None:
    """Find in a STUN request what proves it; None where nothing does. Errors: MalformedStun."""
    at, username, has_priority = _HEADER.size, b"", False
    for _ in range(MAX_ATTRIBUTES):
        if at + _ATTRIBUTE.size > len(data):
            break
        what, length = _ATTRIBUTE.unpack_from(data, at)
        start, at = at + _ATTRIBUTE.size, at + _ATTRIBUTE.size + length + -length % 4
        if at > len(data):
            raise MalformedStun("an attribute that is longer than its message")
        if what == _USERNAME:
            username = data[start : start + length]
        elif what == _PRIORITY:
            has_priority = length == 4
        elif what == _INTEGRITY and length == _INTEGRITY_BYTES:
            return _Check(username, start - _ATTRIBUTE.size, has_priority)
    return None


def _names(check: _Check, ours: str, theirs: str | None) -> bool:
    local, _, remote = check.username.partition(b":")
    return local == ours.encode() and (theirs is None or remote == theirs.encode())


def _is_sealed(data: bytes, check: _Check, password: str) -> bool:
    """Check MESSAGE-INTEGRITY, which takes the message for ending with it (RFC 8489, section 14.5)."""
    seal_at = check.integrity_at + _ATTRIBUTE.size
    length = _LENGTH.pack(seal_at + _INTEGRITY_BYTES - _HEADER.size)
    seal = hmac.digest(password.encode(), data[:2] + length + data[4 : check.integrity_at], "sha1")
    return hmac.compare_digest(seal, data[seal_at : seal_at + _INTEGRITY_BYTES])

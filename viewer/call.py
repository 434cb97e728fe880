"""The protocol of one call, as its viewer speaks it: offers are made here, and what arrives is believed here or not.

Pure: it knows no network and no clock; messages come in as they were received, and go out signed.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Protocol

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from protocol import jws
from protocol.certificates import Identity, thumbprint
from protocol.errors import Malformed, ProtocolError, Untrusted
from protocol.messages import Answer, Bye, Candidate, Move, Offer, Renew, Status, kind_of
from protocol.names import Role
from viewer.errors import NotNamed, NotVerified

_DIGESTS: Final = {"sha-256": hashes.SHA256(), "sha-384": hashes.SHA384(), "sha-512": hashes.SHA512()}
_KINDS: Final = {jws.typ_of(kind): kind for kind in ("status", "answer", "candidate", "bye")}


@dataclass(frozen=True, slots=True, kw_only=True)
class IceServer:
    """A STUN or TURN server, as the fleet names it."""

    urls: tuple[str, ...]
    username: str | None = None
    credential: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Granted:
    """What the fleet gives for one call."""

    token: str  # the grant, a compact JWS
    caller: str  # whose reply topic the device answers to
    certificates: frozenset[str]  # x5t#S256 of those that the device may use now
    ice_servers: tuple[IceServer, ...]


class Transport(Protocol):
    """The way to one device and back, which may lose, change, repeat and invent whatever it likes."""

    async def send(self, message: str) -> None:
        """Send to the device. Errors: ViewError."""

    async def receive(self) -> str | bytes:
        """Wait for the next message of the device, its status included. Errors: ViewError."""


class Line(Transport, Protocol):
    """A Transport that outlives the network that it began in."""

    async def anew(self) -> None:
        """Connect once more, from wherever this machine is now. Errors: ViewError."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    """The device's answer to our offer: signed by `leaf`, which is also the certificate that DTLS must show."""

    sdp: str
    leaf: x509.Certificate
    session_s: int  # the session ends so long after this, unless it is renewed


class Call:
    """One call to one device. The viewer's key is the one that the grant names.

    `camera` is one of the status's names; empty for the first.
    """

    def __init__(
        self,
        *,
        device: str,
        root: x509.Certificate,
        key: ec.EllipticCurvePrivateKey,
        granted: Granted,
        camera: str = "",
        random: Callable[[int], bytes],
    ) -> None:
        self.status: Status | None = None  # the newest that was believed
        self.challenge = ""  # the one that was offered last
        self._device = device
        self._root = root
        self._key = key
        self._granted = granted
        self.camera = camera
        self._random = random
        self._sid = ""
        self._offer_sha256 = ""
        self._answered = False
        self._moved = False  # there were offers before the newest one, whose answers may still come
        self._heard = -1  # the last seq of the device
        self._seq = 0  # our own

    def offer(self, sdp: str) -> str:
        """Sign an offer under the challenge of the newest status; it begins the call anew."""
        assert self.status is not None  # noqa: S101  # without a status there is nobody to call
        self.challenge = self.status.challenge
        self._sid = jws.base64url(self._random(16))
        self._answered, self._moved, self._heard = False, False, -1
        offer = Offer(
            device=self._device,
            sid=self._sid,
            challenge=self.challenge,
            grant=self._granted.token,
            sdp=sdp,
            reply=self._granted.caller,
            stream="main",
            camera=self.camera,
        )
        compact = self._signed(offer)
        self._offer_sha256 = jws.sha256(compact)
        return compact

    def bye(self) -> str | None:
        """Sign the end of the call; None before there is one."""
        return self._signed(Bye(sid=self._sid, seq=self._next(), reason="left")) if self._sid else None

    def know(self, granted: Granted) -> None:
        """Believe from now on the certificates that a fresh grant names: the device's may have been renewed."""
        self._granted = granted

    def renew(self, granted: Granted) -> str:
        """Sign that the session goes on under a fresh grant."""
        return self._signed(Renew(sid=self._sid, seq=self._next(), grant=granted.token))

    def move(self, sdp: str) -> str:
        """Sign another offer, for the session to go over to; only the answer to the newest one counts."""
        compact = self._signed(Move(sid=self._sid, seq=self._next(), sdp=sdp))
        self._offer_sha256, self._answered, self._moved = jws.sha256(compact), False, True
        return compact

    def read(self, message: str | bytes, now: datetime) -> Answered | Candidate | Bye | None:
        """Take one message in; None for a status, and for whatever is not of this call.

        Errors: NotVerified for a status or an answer that is not the device's; NotNamed for the answer to a move that
        only lacks the fleet's word: it may be read once more after `know`. A candidate or bye that is not the device's
        is passed over: whoever can forge it can also hold back all the others.
        """
        try:
            said = jws.peek(message)
        except Malformed:
            return None
        kind = _KINDS.get(said.typ)
        if kind == "status":
            self._take_status(said, now)
        elif kind is not None and said.payload.get("sid") == self._sid != "":
            if kind == "answer":
                return None if self._answered else self._answer(said, now)
            return self._follow_up(said, kind, now)
        return None

    def _take_status(self, said: jws.Unverified, now: datetime) -> None:
        if self._answered or self._moved:
            return  # it says who may be called, and that is over; the certificate may be a renewed one by now
        try:
            self._known(self._speaker(said, "status", now))
            status = Status.parse(said.payload)
            self._same_device(status.device)
        except ProtocolError as error:
            raise NotVerified("untrusted-status") from error
        if self.status is None or status.iat >= self.status.iat:  # an older one is a replay
            self.status = status

    def _answer(self, said: jws.Unverified, now: datetime) -> Answered | None:
        try:
            identity = self._speaker(said, "answer", now)
            answer = Answer.parse(said.payload)
            self._same_device(answer.device)
            if answer.offer_sha256 != self._offer_sha256:
                if self._moved:
                    return None
                raise Untrusted("the answer is to another offer")
        except ProtocolError as error:
            raise NotVerified("untrusted-answer") from error
        try:
            self._known(identity)
        except Untrusted as error:
            raise (NotNamed if self._moved else NotVerified)("untrusted-answer") from error
        if not _names_only(answer.sdp, identity.leaf):
            raise NotVerified("wrong-fingerprint")
        self._answered = True
        return Answered(sdp=answer.sdp, leaf=identity.leaf, session_s=answer.session_s)

    def _follow_up(self, said: jws.Unverified, kind: str, now: datetime) -> Candidate | Bye | None:
        try:
            self._speaker(said, kind, now)
            message = Bye.parse(said.payload) if kind == "bye" else Candidate.parse(said.payload)
        except ProtocolError:
            return None
        if message.seq <= self._heard:
            return None
        self._heard = message.seq
        return message

    def _speaker(self, said: jws.Unverified, kind: str, now: datetime) -> Identity:
        identity = jws.verify_by_chain(said, kind, root=self._root, role=Role.DEVICE, now=now)
        self._same_device(identity.name)
        return identity

    def _same_device(self, name: str) -> None:
        if name != self._device:
            raise Untrusted("it speaks for another device")

    def _known(self, identity: Identity) -> None:
        """The root vouches for a certificate until it ends; the fleet knows whether it was taken back before that."""
        if jws.base64url(thumbprint(identity.leaf)) not in self._granted.certificates:
            raise Untrusted("the fleet does not name this certificate")

    def _next(self) -> int:
        self._seq += 1
        return self._seq

    def _signed(self, message: Any) -> str:
        return jws.sign(kind_of(message), message.payload(), key=self._key)


def _names_only(sdp: str, leaf: x509.Certificate) -> bool:
    """Whether every fingerprint in the SDP is that of the certificate, and SHA-256 among them (RFC 8122, section 5)."""
    lines = {line.strip().lower() for line in sdp.splitlines() if "fingerprint" in line.lower()}
    right = {f"a=fingerprint:{name} {leaf.fingerprint(digest).hex(':')}" for name, digest in _DIGESTS.items()}
    return lines <= right and any(line.startswith("a=fingerprint:sha-256 ") for line in lines)

"""A camera in memory for viewers: the device's real gate, calls and sessions, on a wire that a test can tamper with."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from fractions import Fraction

import av
import pytest

from agent.config import SessionConfig
from agent.media.stream import Stream
from agent.signaling.calls import Calls
from agent.signaling.gate import Call as AgentCall
from agent.signaling.gate import Gate
from agent.webrtc.session import Move, Terms
from agent.webrtc.sessions import Sessions
from protocol import jws
from protocol.certificates import thumbprint
from protocol.messages import Answer, Bye, Candidate, Status, kind_of
from protocol.names import Role, device_id
from tests.kit.caller import Caller, Signer, TrustTree
from tests.kit.patterned import pattern_stream
from viewer.call import Call, Granted
from viewer.errors import Declined, Fault, ViewError
from viewer.reassembly import Unit
from viewer.watch import Watch

DEVICE = device_id(bytes(16))
OTHER = device_id(bytes([1] * 16))


@dataclass(frozen=True, slots=True, kw_only=True)
class Trust:
    """One fleet: two devices, and who signs grants."""

    tree: TrustTree
    device: Signer
    other: Signer
    authoriser: Signer


@pytest.fixture(scope="session")
def trust() -> Trust:
    tree = TrustTree()
    return Trust(
        tree=tree,
        device=tree.leaf(Role.DEVICE, DEVICE),
        other=tree.leaf(Role.DEVICE, OTHER),
        authoriser=tree.leaf(Role.AUTHORISER, "fleet"),
    )


@pytest.fixture
def caller(trust: Trust) -> Caller:
    return Caller(device=DEVICE, authoriser=trust.authoriser)


@pytest.fixture
def call(trust: Trust, caller: Caller) -> Call:
    """A call by somebody who has a grant."""
    given = granted(caller, caller.grant(time.time()), trust.device)
    return Call(device=DEVICE, root=trust.tree.root, key=caller.key, granted=given, random=secrets.token_bytes)


def granted(caller: Caller, token: str, device: Signer) -> Granted:
    """What the fleet gives for a call to a device that has this certificate."""
    known = jws.base64url(thumbprint(device.chain[0]))
    return Granted(token=token, caller=caller.reply, certificates=frozenset({known}), ice_servers=())


def signed(signer: Signer, message: Status | Answer | Candidate | Bye) -> str:
    return signer.sign(kind_of(message), message.payload())


def online(challenge: str = "c" * 22, **changes: object) -> Status:
    status = Status(
        device=DEVICE, presence="online", iat=int(time.time()), challenge=challenge, viewers=0, camera="", software=""
    )
    return replace(status, **changes)  # type: ignore[arg-type]


def now() -> datetime:
    return datetime.now(UTC)


class Wire:
    """The way between viewer and camera. What the camera says is tampered with before it is signed, or after that."""

    def __init__(self, trust: Trust, stream: Stream) -> None:
        self.trust, self.stream = trust, stream
        self.said: list[str] = []  # kinds, in the order in which the camera said them
        self.on_said: Callable[[str], None] = lambda kind: None
        self.before_signing: Callable[[Answer | Candidate | Bye], Answer | Candidate | Bye] = lambda message: message
        self.after_signing: Callable[[str], str | None] = lambda compact: compact
        self.signer = trust.device
        self.dtls = trust.device
        self.broken = asyncio.Event()
        self.mends = False  # another line is no more broken
        self.refused: list[str] = []  # reasons, for the renewals that come: whoever relays says so and passes none on
        self.renewals = 0
        self._inbox: asyncio.Queue[str | ViewError] = asyncio.Queue()
        loop = asyncio.get_running_loop()
        self.sessions = Sessions(SessionConfig(), {"": stream}, now=loop.time, on_change=lambda: None)
        self.gate = Gate(device=DEVICE, root=trust.tree.root, now=time.time(), random=secrets.token_bytes)
        self._calls = Calls(
            device=DEVICE, gate=self.gate, open=self._open, move=self._move, sessions=self.sessions, say=self._say
        )

    async def send(self, message: str) -> None:
        self._check()
        if jws.peek(message).typ == jws.typ_of("renew"):
            if self.refused:
                return self.refuse(Declined(self.refused.pop()))
            self.renewals += 1
        self._calls.receive(message.encode())
        return None

    async def receive(self) -> str:
        message, broken = (asyncio.create_task(part) for part in (self._inbox.get(), self.broken.wait()))
        try:
            await asyncio.wait((message, broken), return_when=asyncio.FIRST_COMPLETED)
            self._check()
            if isinstance(said := message.result(), ViewError):
                raise said
            return str(said)
        finally:
            message.cancel()
            broken.cancel()

    async def anew(self) -> None:
        if self.mends:
            self.broken.clear()
        self._check()

    def announce(self, **changes: object) -> None:
        self.deliver(signed(self.trust.device, online(**({"challenge": self.gate.challenge} | changes))))

    def deliver(self, compact: str) -> None:
        self._inbox.put_nowait(compact)

    def refuse(self, error: ViewError) -> None:
        """Have whoever relays say that it did not pass something on."""
        self._inbox.put_nowait(error)

    def _check(self) -> None:
        if self.broken.is_set():
            raise Fault("broker-lost", "The connection to the broker ended.")

    def _say(self, caller: str, message: Answer | Candidate | Bye) -> None:
        message = self.before_signing(message)
        compact = self.after_signing(signed(self.signer, message))
        if compact is not None:
            self.deliver(compact)
        self.said.append(kind_of(message))
        self.on_said(kind_of(message))

    def _open(
        self,
        call: AgentCall,
        answered: Callable[[str], None],
        found: Callable[[str, str], None],
        ended: Callable[[str], None],
    ) -> None:
        terms = Terms(
            sid=call.offer.sid,
            viewer=call.grant.jkt,
            subject=call.grant.sub,
            scope=call.grant.scope,
            offer=call.offer.sdp,
            setup_s=15.0,
            life_s=call.life_s,
            key=self.dtls.key,
            certificate=self.dtls.chain[0],
            full_bps=2_000_000,
            playout_delay_ms=0,
        )
        self.sessions.open(terms, answered=answered, found=found, ended=ended)

    def _move(self, sid: str, offer: str, answered: Callable[[str], None], found: Callable[[str, str], None]) -> None:
        to = Move(offer=offer, key=self.dtls.key, certificate=self.dtls.chain[0])
        self.sessions.move(sid, to, answered=answered, found=found)


@pytest.fixture
async def wire(trust: Trust) -> AsyncIterator[Wire]:
    """A camera that shows the test pattern, 320x180 at 30 fps."""
    async with pattern_stream() as stream:
        wire = Wire(trust, stream)
        yield wire
        await wire.sessions.end_all("shutdown")


@pytest.fixture
def watch(call: Call, wire: Wire) -> Callable[..., Watch]:
    """Make a watch of that camera; what it says to people goes to `lines`."""

    def make(**options: object) -> Watch:
        defaults: dict[str, object] = {"ice_servers": (), "seconds": None, "record": None, "say": lambda line: None}
        return Watch(call, wire, **(defaults | options))  # type: ignore[arg-type]

    return make


@contextmanager
def within(seconds: float) -> Iterator[None]:
    """Fail when what stands in it takes longer."""
    began = time.monotonic()
    yield
    assert time.monotonic() - began < seconds


def pictures(fps: Fraction, count: int, *, width: int = 320, height: int = 180, keyint: int = 30) -> list[Unit]:
    """Encode `count` pictures as a camera does it, with the times that arrive: us, then 1/90000 s, cut off."""
    context = av.CodecContext.create("libx264", "w")
    context.width, context.height, context.pix_fmt = width, height, "yuv420p"
    context.time_base, context.framerate = Fraction(1, 1_000_000), fps
    context.options = {"preset": "ultrafast", "tune": "zerolatency", "g": str(keyint), "forced-idr": "1"}
    units = []
    for index in range(count):
        frame = av.VideoFrame(width, height, "yuv420p")
        for plane in frame.planes:
            plane.update(bytes([(index * 7) % 256]) * plane.buffer_size)
        frame.pts, frame.time_base = int(index * 1_000_000 / fps), Fraction(1, 1_000_000)
        for packet in context.encode(frame):
            ticks = (packet.pts or 0) * 9 // 100
            units.append(Unit(data=bytes(packet), ticks=ticks, keyframe=packet.is_keyframe))
    return units

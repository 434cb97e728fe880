"""What viewer and camera say to each other over a line that may break: how often, and how long an answer may take."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Final

from protocol.messages import Bye, Candidate
from viewer.call import Answered, Call, Granted, Line
from viewer.errors import Declined, Fault, NoPicture, NotNamed, NotVerified, ViewError
from viewer.permission import Permission
from viewer.receive import MOST_CANDIDATES, Receiver

STATUS_S: Final = 10.0
ANSWER_S: Final = 15.0
_REPEAT_S: Final = 0.5  # an offer that is lost, or comes while a camera is flooded, is sent again
_FRESH_S: Final = 5.0  # for another challenge, after one was stale
_LEAVE_S: Final = 2.0
_REFUSED_S: Final = 1.0  # within which whoever relays says so where a renewal is not passed on
_ANEW_S: Final = 5.0  # for the way to the camera to stand anew


class Conversation:
    """One call, spoken over one line after the other. `say` gets a line for people."""

    def __init__(self, call: Call, line: Line, permission: Permission, *, say: Callable[[str], None]) -> None:
        self.early: list[Candidate] = []  # those that came before the answer
        self._call = call
        self._line = line
        self._permission = permission
        self._say = say
        self._replaced = asyncio.Event()  # the present line to the camera, by another one
        self._refused = asyncio.Event()  # whoever relays did not pass something on

    async def dial(self, offer: Callable[[], Awaitable[str]]) -> Answered:
        """Call, and once more where the challenge was stale. Errors: ViewError."""
        await self._challenge(STATUS_S)
        self._find_camera()
        sdp = await offer()
        said = await self._ask(self._call.offer(sdp))
        if isinstance(said, Bye) and said.reason == "expired":
            await self._challenge(_FRESH_S)
            said = await self._ask(self._call.offer(sdp))
        if isinstance(said, Bye):
            raise Declined(said.reason)
        return said

    async def move(self, sdp: str) -> Answered | Bye:
        """Offer another connection in the same session. Errors: ViewError."""
        return await self._ask(self._call.move(sdp))

    async def listen(self, receiver: Receiver) -> None:
        """Take in what the camera says, until it says bye. Errors: ViewError."""
        while True:
            replaced = self._replaced
            try:
                said = await self._next()
            except NotVerified:
                raise
            except (Declined, NoPicture) as refusal:  # of whoever relays: the camera itself says bye
                if refusal.reason == "revoked":
                    raise
                self._refused.set()
                self._say(f"{refusal} The picture goes on.")
            except ViewError as error:
                if not replaced.is_set():
                    self._say(f"{error} The picture goes on without it.")  # it comes from the camera itself
                await replaced.wait()
            else:
                await self._take(receiver, said)

    async def renew(self, granted: Granted) -> bool:
        """Let the session go on under this grant; False where it was not passed on. Errors: ViewError."""
        renewal = self._call.renew(granted)
        self._refused.clear()
        try:
            await self._line.send(renewal)
        except ViewError:  # it broke meanwhile
            await self.anew()
            await self._line.send(renewal)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_REFUSED_S):
                await self._refused.wait()
                return False
        return True

    async def anew(self) -> None:
        """Have another line to the camera, from wherever this machine is by now. Errors: ViewError."""
        try:
            async with asyncio.timeout(_ANEW_S):
                await self._line.anew()
        except TimeoutError as error:
            raise Fault("unreachable", "There is no way to the camera from here.") from error
        self._replaced.set()
        self._replaced = asyncio.Event()

    async def leave(self) -> None:
        """Say bye, where there is a call, and where it can still be said."""
        if (bye := self._call.bye()) is not None:
            with contextlib.suppress(ViewError, TimeoutError):
                async with asyncio.timeout(_LEAVE_S):
                    await self._line.send(bye)

    def _find_camera(self) -> None:
        """Look for the camera that is wanted before anybody is called. Errors: Declined."""
        assert self._call.status is not None  # noqa: S101  # there is a challenge
        there, wanted = self._call.status.cameras, self._call.camera
        if wanted and wanted not in there:
            names = f"it has {', '.join(there)}" if there else "it has one, without a name"
            raise Declined("no-camera", f"This device has no camera of the name {wanted}: {names}.")
        if not wanted and there:
            self._say(f"this device has the cameras {', '.join(there)}: shown is the first (--camera NAME)")

    async def _challenge(self, within_s: float) -> None:
        """Wait for a status whose challenge was not offered yet."""
        try:
            async with asyncio.timeout(within_s):
                while (status := self._call.status) is None or (
                    status.presence == "online" and status.challenge == self._call.challenge
                ):
                    await self._next()
        except TimeoutError as error:
            raise (NoPicture("no-status") if self._call.status is None else Declined("expired")) from error
        if status.presence != "online":
            raise NoPicture("offline")

    async def _ask(self, offer: str) -> Answered | Bye:
        self.early.clear()
        await self._line.send(offer)
        repeating = asyncio.create_task(self._repeat(offer), name="offer")
        try:
            async with asyncio.timeout(ANSWER_S):
                while not isinstance(said := await self._next(), Answered | Bye):
                    if isinstance(said, Candidate) and len(self.early) < MOST_CANDIDATES:
                        self.early.append(said)
        except TimeoutError as error:
            raise NoPicture("no-answer") from error
        finally:
            repeating.cancel()
            await asyncio.wait([repeating])
        return said

    async def _repeat(self, offer: str) -> None:
        """Send an offer until it is answered: a camera takes each only once."""
        with contextlib.suppress(ViewError):  # whoever waits for the answer hears of it too
            while True:
                await asyncio.sleep(_REPEAT_S)
                await self._line.send(offer)

    async def _next(self) -> Answered | Candidate | Bye | None:
        message = await self._line.receive()
        try:
            return self._call.read(message, datetime.now(UTC))
        except NotNamed:
            if not self._permission.renewable:
                raise
            await self._permission.certificates()
            return self._call.read(message, datetime.now(UTC))

    async def _take(self, receiver: Receiver, said: Answered | Candidate | Bye | None) -> None:
        if isinstance(said, Bye):
            raise Declined(said.reason)
        if isinstance(said, Candidate):
            await receiver.add_candidate(said)

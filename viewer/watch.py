"""One call from its status to its end: who waits for whom, and for how long."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from cryptography import x509

from protocol.messages import Bye, Candidate
from viewer.call import Answered, Call, IceServer, Transport
from viewer.errors import INTERRUPTED, Declined, NoPicture, NotVerified, ViewError
from viewer.figures import Figures
from viewer.h264 import describe
from viewer.reassembly import CLOCK_HZ, Unit
from viewer.receive import MOST_CANDIDATES, Receiver
from viewer.record import Recorder

STATUS_S: Final = 10.0
ANSWER_S: Final = 15.0
PICTURE_S: Final = 20.0  # from the answer to the first picture: a sleeping camera has to wake up
STALL_S: Final = 10.0
_REPEAT_S: Final = 0.5  # an offer that is lost, or comes while a camera is flooded, is sent again; the wait doubles
_FRESH_S: Final = 5.0  # for another challenge, after one was stale
_LAST_WORD_S: Final = 1.0  # a bye may be a little later than the end of the connection that it explains
_LEAVE_S: Final = 2.0
_RENEW_AT: Final = 2 / 3  # of a session's life; a try that fails is followed by another at 2/3 of what is left
_RENEW_S: Final = 1.0  # not more often than that


class Watch:
    """Watches one camera until `seconds` of picture have come, or `stop` is called. `say` gets a line for people.

    `regrant` asks the fleet for a fresh grant in time, so that the session goes on; without it, it ends with its grant.
    """

    def __init__(
        self,
        call: Call,
        transport: Transport,
        *,
        ice_servers: tuple[IceServer, ...],
        seconds: float | None,
        record: Path | None,
        say: Callable[[str], None],
        regrant: Callable[[], Awaitable[str]] | None = None,
    ) -> None:
        loop = asyncio.get_running_loop()
        self.leaf: x509.Certificate | None = None  # the device's, once it is verified
        self.figures = Figures(loop.time())
        self._call = call
        self._transport = transport
        self._most_ticks = None if seconds is None else seconds * CLOCK_HZ
        self._say = say
        self._regrant = regrant
        self._session_s: asyncio.Future[int] = loop.create_future()
        self._loop = loop
        self._receiver = Receiver(ice_servers, on_unit=self._picture, on_end=self._lost)
        self._recorder = None if record is None else Recorder(record)
        self._early: list[Candidate] = []  # those that came before the answer
        self._first_ticks: int | None = None
        self._answered_at: float | None = None
        self._over: asyncio.Future[str] = loop.create_future()

    @property
    def packets_lost(self) -> int:
        """How many packets never arrived."""
        return self._receiver.packets_lost

    async def run(self) -> str:
        """Call, and watch. Gives `done` or `interrupted`; either way there was a picture. Errors: ViewError."""
        parts = [
            self._loop.create_task(self._converse(), name="converse"),
            self._loop.create_task(self._look(), name="look"),
            self._loop.create_task(self._renew(), name="renew"),
        ]
        for part in parts:
            part.add_done_callback(self._ended)
        try:
            return await self._over
        finally:
            for part in parts:
                part.cancel()
            await asyncio.gather(*parts, return_exceptions=True)
            await self._leave()

    def stop(self) -> None:
        """End the call because somebody wants it to end."""
        self._end(INTERRUPTED if self.figures.frames else NoPicture(INTERRUPTED))

    async def _converse(self) -> None:
        answered = await self._dial()
        self.leaf = answered.leaf
        self._answered_at = self._loop.time()
        self._session_s.set_result(answered.session_s)
        self._say(f"the camera has proved who it is: certificate until {answered.leaf.not_valid_after_utc:%F}")
        await self._receiver.accept(answered.sdp)
        for candidate in self._early:
            await self._receiver.add_candidate(candidate)
        while True:
            try:
                said = await self._next()
            except Declined:
                raise
            except ViewError as error:
                self._say(f"{error} The picture goes on without it.")  # it comes from the camera itself
                return
            if isinstance(said, Bye):
                raise Declined(said.reason)
            if isinstance(said, Candidate):
                await self._receiver.add_candidate(said)

    async def _dial(self) -> Answered:
        """Call, and once more where the challenge was stale. Errors: ViewError."""
        await self._challenge(STATUS_S)
        sdp = await self._receiver.offer()
        said = await self._ask(sdp)
        if isinstance(said, Bye) and said.reason == "expired":
            await self._challenge(_FRESH_S)
            said = await self._ask(sdp)
        if isinstance(said, Bye):
            raise Declined(said.reason)
        return said

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

    async def _ask(self, sdp: str) -> Answered | Bye:
        offer = self._call.offer(sdp)
        await self._transport.send(offer)
        repeating = self._loop.create_task(self._repeat(offer), name="offer")
        try:
            async with asyncio.timeout(ANSWER_S):
                while not isinstance(said := await self._next(), Answered | Bye):
                    if isinstance(said, Candidate) and len(self._early) < MOST_CANDIDATES:
                        self._early.append(said)
        except TimeoutError as error:
            raise NoPicture("no-answer") from error
        finally:
            repeating.cancel()
            await asyncio.wait([repeating])
        return said

    async def _repeat(self, offer: str) -> None:
        """Send an offer until it is answered: a camera takes each only once."""
        wait_s = _REPEAT_S
        with contextlib.suppress(ViewError):  # whoever waits for the answer hears of it too
            while True:
                await asyncio.sleep(wait_s)
                await self._transport.send(offer)
                wait_s *= 2

    async def _next(self) -> Answered | Candidate | Bye | None:
        return self._call.read(await self._transport.receive(), datetime.now(UTC))

    async def _renew(self) -> None:
        session_s = await self._session_s
        if self._regrant is None:
            return
        ends_at = self._loop.time() + session_s
        while True:
            await asyncio.sleep(max(_RENEW_S, (ends_at - self._loop.time()) * _RENEW_AT))
            try:
                await self._transport.send(self._call.renew(await self._regrant()))
            except ViewError as error:
                self._say(f"The permission was not renewed yet: {error}")
            else:
                ends_at = self._loop.time() + session_s

    async def _look(self) -> None:
        """Once a second: a line for people, and whether there is still a picture."""
        while True:
            await asyncio.sleep(1)
            now = self._loop.time()
            if self.figures.last_at is not None:
                self._say(self.figures.line(now, self.packets_lost))
                if now - self.figures.last_at >= STALL_S:
                    raise NoPicture("stalled")
            elif self._answered_at is not None and now - self._answered_at >= PICTURE_S:
                raise NoPicture("no-picture")

    def _picture(self, unit: Unit) -> None:
        if self._over.done():
            return
        if self._first_ticks is None:
            self._first_ticks = unit.ticks
        if self._most_ticks is not None and unit.ticks - self._first_ticks >= self._most_ticks:
            self._end("done")
            return
        if unit.keyframe and (described := describe(unit.data)) is not None:
            self.figures.size = described.codec_context.width, described.codec_context.height
        self.figures.picture(unit, self._loop.time())
        if self._recorder is not None:
            try:
                self._recorder.write(unit)
            except ViewError as error:
                self._end(error)

    def _lost(self, why: ViewError) -> None:
        if isinstance(why, NotVerified):
            self._end(why)
        else:
            self._loop.call_later(_LAST_WORD_S, self._end, why)

    def _ended(self, part: asyncio.Task[None]) -> None:
        if not part.cancelled() and (error := part.exception()) is not None:
            self._end(error)

    def _end(self, result: str | BaseException) -> None:
        if self._over.done():
            return
        if isinstance(result, str):
            self._over.set_result(result)
        else:
            self._over.set_exception(result)

    async def _leave(self) -> None:
        try:
            if (bye := self._call.bye()) is not None:
                with contextlib.suppress(ViewError, TimeoutError):
                    async with asyncio.timeout(_LEAVE_S):
                        await self._transport.send(bye)
            await self._receiver.close()
        finally:
            if self._recorder is not None:
                self._recorder.close()

"""One session from its status to its end: who waits for whom, and for how long."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from pathlib import Path
from typing import Any, Final

from cryptography import x509

from protocol.messages import BYE_REASONS
from viewer.call import Answered, Call, Granted, IceServer, Line
from viewer.conversation import Conversation
from viewer.errors import INTERRUPTED, Declined, NoPicture, NotVerified, ViewError
from viewer.figures import Figures
from viewer.h264 import describe
from viewer.media import Media
from viewer.permission import Permission
from viewer.reassembly import CLOCK_HZ, Unit
from viewer.receive import Receiver
from viewer.record import Recorder

PICTURE_S: Final = 20.0  # from the answer to the first picture: a sleeping camera has to wake up
STALL_S: Final = 20.0  # a device keeps the session of a viewer that vanished for a few seconds more
SILENCE_S: Final = 1.6  # without a packet, and the session moves: reports come every 1.5 s, also without pictures
_AGAIN_S: Final = 0.5  # from a move that came to nothing to the next
_LONGEST_SILENCE_S: Final = 8.0  # where moving brings no picture, each time twice as long is waited
_STEADY_S: Final = 2.0  # a picture that stood for so long has earned the shortest wait again
_LOOK_S: Final = 0.1
_GATHER_S: Final = 6.0  # for this machine's addresses: a STUN server that says nothing is asked for 5 s
_MOVE_S: Final = 2.0  # for the answer to a move; then another is made, from wherever this machine is by then
_TAKE_OVER_S: Final = 4.0  # from that answer to the first packet
_LAST_WORD_S: Final = 1.0  # a bye may be a little later than the end of the connection that it explains
_RENEW_AT: Final = 2 / 3  # of a session's life; a try that fails is followed by another at 2/3 of what is left
_RENEW_S: Final = 1.0  # not more often than that


class Watch:
    """Watches one camera until `seconds` of picture have come, or `stop` is called. `say` gets a line for people.

    `regrant` asks the fleet for a fresh grant in time, so that the session goes on; without it, it ends with its grant.
    """

    def __init__(
        self,
        call: Call,
        line: Line,
        *,
        ice_servers: tuple[IceServer, ...],
        seconds: float | None,
        record: Path | None,
        say: Callable[[str], None],
        regrant: Callable[[], Awaitable[Granted]] | None = None,
    ) -> None:
        loop = asyncio.get_running_loop()
        self.leaf: x509.Certificate | None = None  # the device's, once it is verified
        self.figures = Figures(loop.time())
        self._most_ticks = None if seconds is None else seconds * CLOCK_HZ
        self._say = say
        self._session_s: asyncio.Future[int] = loop.create_future()
        self._loop = loop
        self._media = Media(ice_servers, on_unit=self._picture, on_end=self._lost)
        self._permission = Permission(call, self._media, regrant)
        self._conversation = Conversation(call, line, self._permission, say=say)
        self._recorder = None if record is None else Recorder(record)
        self._first_ticks: int | None = None
        self._answered_at: float | None = None
        self._moving = False  # to another connection
        self._over: asyncio.Future[str] = loop.create_future()

    @property
    def packets_lost(self) -> int:
        """How many packets never arrived."""
        return self._media.packets_lost

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
        receiver = self._media.connect()
        answered = await self._conversation.dial(receiver.offer)
        self._answered_at = self._loop.time()
        self._session_s.set_result(answered.session_s)
        self._say(f"the camera has proved who it is: certificate until {answered.leaf.not_valid_after_utc:%F}")
        await self._accept(receiver, answered)
        silence_s = SILENCE_S
        while True:
            await self._listen_during(receiver, self._silence(silence_s))
            self._say("Nothing comes from the camera any more; it is called from here once more.")
            self._moving = True
            while True:
                if (moved := await self._move()) is not None:
                    break
                await asyncio.sleep(_AGAIN_S)
            self._moving = False
            receiver, silence_s = moved, min(2 * silence_s, _LONGEST_SILENCE_S)  # it may be the camera that is still

    async def _accept(self, receiver: Receiver, answered: Answered) -> None:
        self.leaf = answered.leaf
        await receiver.accept(answered.sdp)
        for candidate in self._conversation.early:
            await receiver.add_candidate(candidate)

    async def _silence(self, silence_s: float) -> None:
        """Wait until no packet has come for so long, or for SILENCE_S where they came for a while."""
        began = self._loop.time()
        while True:
            heard_at = self._media.heard_at
            if heard_at is not None and heard_at - began >= _STEADY_S:
                silence_s = SILENCE_S
            # A connection that the camera closed is no silence: its bye is about to come.
            if heard_at is not None and self._media.broken is None and self._loop.time() - heard_at >= silence_s:
                return
            await asyncio.sleep(_LOOK_S)

    async def _listen_during(self, receiver: Receiver, other: Coroutine[Any, Any, object]) -> None:
        """Take in what the camera says, until the other is done. Errors: ViewError."""
        tasks = [self._loop.create_task(part, name="listen") for part in (other, self._conversation.listen(receiver))]
        try:
            while not tasks[0].done():
                await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
                if tasks[-1].done():
                    tasks.pop().result()
                    await asyncio.wait(tasks)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)

    async def _move(self) -> Receiver | None:
        """Try to go on over another connection; gives it if packets come. Errors: Declined, NotVerified."""
        try:
            await self._conversation.anew()
            await self._permission.servers()
            receiver = self._media.connect()
            async with asyncio.timeout(_GATHER_S):
                sdp = await receiver.offer()
            async with asyncio.timeout(_MOVE_S) as limit:
                said = await self._conversation.move(sdp)
                if isinstance(said, Answered):
                    limit.reschedule(self._loop.time() + _TAKE_OVER_S)
                    await self._accept(receiver, said)
                    await self._listen_during(receiver, self._media.moved.wait())
                    return receiver
        except Declined as refusal:
            if refusal.reason in BYE_REASONS:
                raise
        except NotVerified:
            raise
        except (ViewError, TimeoutError):  # there is no network yet, or the camera is not back
            pass
        else:
            raise Declined(said.reason)
        return None

    async def _renew(self) -> None:
        session_s = await self._session_s
        if not self._permission.renewable:
            return
        ends_at = self._loop.time() + session_s
        while True:
            await asyncio.sleep(max(_RENEW_S, (ends_at - self._loop.time()) * _RENEW_AT))
            try:
                granted = await self._permission.fresh()
                renewed_at = self._loop.time()
                if await self._conversation.renew(granted):
                    ends_at = renewed_at + session_s
            except ViewError as error:
                self._say(f"The permission was not renewed yet: {error}")

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
            self._loop.call_later(_LAST_WORD_S, self._gone, why)

    def _gone(self, why: ViewError) -> None:
        if self._media.broken is why and not self._moving:  # else another connection takes over, or time runs out
            self._end(why)

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
            await self._conversation.leave()
            await self._media.close()
        finally:
            if self._recorder is not None:
                self._recorder.close()

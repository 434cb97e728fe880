"""The fleet's word while a call lasts: fresh grants, with a relay's credential and the camera's certificates."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import Final

from viewer.call import Call, Granted
from viewer.errors import Fault, ViewError
from viewer.media import Media

CREDENTIAL_S: Final = 60.0  # a fleet may let a relay's credential end so soon
_GRANT_S: Final = 1.0  # for a fresh one, while the session moves


class Permission:
    """What the fleet grants; `regrant` asks it, where there is a way to ask."""

    def __init__(self, call: Call, media: Media, regrant: Callable[[], Awaitable[Granted]] | None) -> None:
        self._call = call
        self._media = media
        self._regrant = regrant
        self._now = asyncio.get_running_loop().time
        self._granted_at = self._now()

    @property
    def renewable(self) -> bool:
        """Whether the fleet can be asked at all."""
        return self._regrant is not None

    async def fresh(self) -> Granted:
        """Ask for a fresh grant, and go by it from now on. Errors: ViewError."""
        assert self._regrant is not None  # noqa: S101  # whoever asks has seen that it is renewable
        granted = await self._regrant()
        self._media.servers, self._granted_at = granted.ice_servers, self._now()
        self._call.know(granted)
        return granted

    async def servers(self) -> None:
        """Ask for a relay's credential that has not ended yet; without an answer soon the old ones have to do."""
        ends = any(server.credential for server in self._media.servers)
        if not self.renewable or not ends or self._now() - self._granted_at <= CREDENTIAL_S:
            return
        with contextlib.suppress(ViewError, TimeoutError):
            async with asyncio.timeout(_GRANT_S):
                await self.fresh()

    async def certificates(self) -> None:
        """Hear which certificates the camera may use by now, as before the call. Errors: Fault."""
        try:
            async with asyncio.timeout(_GRANT_S):
                await self.fresh()
        except (ViewError, TimeoutError) as error:
            raise Fault("unreachable", "The fleet does not say which certificate the camera has.") from error

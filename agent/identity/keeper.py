"""Keeps the operational certificate fresh while the daemon runs: renew in time, prove by a connection, then promote."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Final

from agent.identity.clock import LastGood, utc_now
from agent.identity.errors import EnrollmentError
from agent.identity.renewal import Credentials, Renewal, renew_at

_LOG: Final = logging.getLogger(__name__)
_LONGEST_SLEEP_S: Final = 3600.0  # the clock may be set meanwhile
_PROOF_S: Final = 300.0
_RETRY_S: Final = 60.0
_LONGEST_RETRY_S: Final = 6 * 3600.0


class Keeper:
    """`current` signs and speaks DTLS; `presented` is what the next connection to the broker shows.

    They differ only between a renewal and its proof. Errors of the constructor: EnrollmentError.
    """

    def __init__(
        self,
        renewal: Renewal,
        last_good: LastGood,
        *,
        clock: Callable[[], datetime] = utc_now,
        jitter: float | None = None,
    ) -> None:
        self.current: Credentials = renewal.current()
        self._pending = renewal.pending()
        self._renewal = renewal
        self._last_good = last_good
        self._clock = clock
        self._jitter = random.uniform(-1, 1) if jitter is None else jitter  # noqa: S311  # spreads a fleet's renewals
        self._proven = asyncio.Event()

    @property
    def presented(self) -> Path:
        """The PEM, key and chain, to show to the broker now."""
        return (self._pending or self.current).path

    def connected(self) -> None:
        """Hear that a connection with `presented` stands: the broker's certificate held, and ours was taken."""
        self._last_good.note(self._clock())
        self._proven.set()

    async def run(self, *, reconnect: Callable[[], None], renewed: Callable[[], None]) -> None:
        """Renew for as long as the daemon lives; `reconnect` leads to a proof, `renewed` hears of a new `current`."""
        retry_s = _RETRY_S
        while True:
            try:
                if self._pending is None:
                    await self._until_due()
                    self._pending = await self._renewal.renew(self._clock())
                    self._proven.clear()
                    reconnect()
                await self._prove(reconnect)
                retry_s = _RETRY_S
                renewed()
            except EnrollmentError as error:
                _LOG.warning("certificate not renewed: %s", error)
                await asyncio.sleep(retry_s)
                retry_s = min(2 * retry_s, _LONGEST_RETRY_S)

    async def _until_due(self) -> None:
        while (left := renew_at(self.current.leaf, self._jitter) - self._clock()).total_seconds() > 0:  # noqa: ASYNC110  # for a clock
            await asyncio.sleep(min(left.total_seconds(), _LONGEST_SLEEP_S))

    async def _prove(self, reconnect: Callable[[], None]) -> None:
        try:
            await asyncio.wait_for(self._proven.wait(), _PROOF_S)
        except TimeoutError as error:
            self._pending = None
            await self._renewal.withdraw()
            reconnect()
            raise EnrollmentError(
                "no connection to the broker stood with the new certificate; the old one stays"
            ) from error
        self.current = await self._renewal.promote()
        self._pending = None
        _LOG.info("certificate renewed, good until %s", self.current.leaf.not_valid_after_utc.date())

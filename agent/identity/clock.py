"""The clock's floor: a board without a battery starts anywhere in time, and no certificate holds there."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final, Self

from cryptography import x509

from agent.config import IdentityConfig
from agent.identity.files import write_atomic

_LOG: Final = logging.getLogger(__name__)
KEEP_EVERY: Final = timedelta(hours=1)
_POLL_S: Final = 0.5


class ClockError(Exception):
    """The clock shows a time that has passed; one line that says what to do."""


def utc_now() -> datetime:
    """Read this machine's clock."""
    return datetime.now(UTC)


def floor(*, released: datetime, last_good: datetime | None, certificates: Iterable[x509.Certificate]) -> datetime:
    """Give the latest time that is known to have passed: no clock that is right shows an earlier one."""
    passed = [released, *(certificate.not_valid_before_utc for certificate in certificates)]
    return max(passed if last_good is None else [*passed, last_good])


async def wait_until_plausible(floor: datetime, timeout_s: float, clock: Callable[[], datetime] = utc_now) -> datetime:
    """Wait until the clock has reached `floor`, and give its time then. Errors: ClockError after `timeout_s`."""
    if (now := clock()) < floor:
        _LOG.warning("the clock shows %s UTC, which has passed; waiting up to %.0f s", f"{now:%F %R}", timeout_s)
    try:
        async with asyncio.timeout(timeout_s):
            while now < floor:  # a clock cannot be awaited
                await asyncio.sleep(_POLL_S)
                now = clock()
    except TimeoutError as error:
        raise ClockError(
            f"the clock shows {clock():%F %R} UTC, and it is {floor:%F %R} at least: "
            "connect the board to a network with time, or set the clock (`timedatectl`)"
        ) from error
    return now


class LastGood:
    """The last time at which somebody trustworthy agreed with the clock, kept in a file; it only rises."""

    def __init__(self, path: Path) -> None:
        self._path = path

    @classmethod
    def of(cls, config: IdentityConfig) -> Self:
        """The one of this device, beside its identity."""
        return cls(config.directory / "last-good-time")

    def read(self) -> datetime | None:
        """Give the time that was kept; None when there is none, or when it cannot be read."""
        try:
            return datetime.fromtimestamp(int(self._path.read_text("ascii")), UTC)
        except (OSError, ValueError, OverflowError):
            return None

    def note(self, now: datetime) -> None:
        """Keep `now`, once in KEEP_EVERY at most. To be called when a TLS server's certificate has just verified."""
        last = self.read()
        if last is None or now - last >= KEEP_EVERY:
            try:
                write_atomic(self._path, f"{int(now.timestamp())}\n".encode(), 0o644)
            except OSError as error:
                _LOG.warning("the time cannot be kept in %s: %s", self._path, error.strerror)

"""The clock, and whether somebody keeps it: adjtimex(2), asked without changing anything, as timedatectl does."""

from __future__ import annotations

import ctypes
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from agent.probe.board import text
from agent.probe.facts import Clock

_UNSYNCHRONISED_US: Final = 16_000_000  # the largest error, which the kernel lets rise to this without a time server


class Timex(ctypes.Structure):
    """The beginning of a struct timex (linux/timex.h), and room for its rest."""

    _fields_ = (
        ("modes", ctypes.c_uint),
        ("offset", ctypes.c_long),
        ("freq", ctypes.c_long),
        ("maxerror", ctypes.c_long),
        ("rest", ctypes.c_long * 32),
    )


def clock(released: datetime, top: Path = Path("/")) -> Clock:
    """Read the clock; no clock that is right shows a time before `released`."""
    now = datetime.now(UTC)
    return Clock(
        now=now.isoformat(timespec="seconds"),
        plausible=now >= released,
        synchronised=_synchronised(),
        rtc=text(top / "sys/class/rtc/rtc0/name") or None,
    )


def _synchronised() -> bool | None:
    timex = Timex()
    try:
        code = ctypes.CDLL(None, use_errno=True).adjtimex(ctypes.byref(timex))
    except AttributeError:
        return None
    return None if code < 0 else timex.maxerror < _UNSYNCHRONISED_US

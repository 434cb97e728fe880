"""What systemd is told (sd_notify(3)). Without systemd-python, or not started by systemd, nothing happens."""

from __future__ import annotations

import logging
import os

from protocol.printable import printable

try:
    from systemd.daemon import notify as _sd_notify
except ImportError:
    # The repository's own folder systemd/ can be imported as an empty namespace, so `import systemd` proves nothing.
    _sd_notify = None

logger = logging.getLogger(__name__)


def ready(status: str) -> None:
    """READY=1: the daemon serves; `status` is what `systemctl status` shows."""
    _tell(f"READY=1\nSTATUS={printable(status)}")


def status(text: str) -> None:
    """STATUS=: one line about what goes on now."""
    _tell(f"STATUS={printable(text)}")


def watchdog() -> None:
    """WATCHDOG=1: the daemon is alive; to come at least every WatchdogSec."""
    _tell("WATCHDOG=1")


def stopping() -> None:
    """STOPPING=1: the daemon closes on purpose."""
    _tell("STOPPING=1")


def watchdog_interval_s() -> float | None:
    """Seconds between two pings, half of WATCHDOG_USEC; None where nobody watches (sd_watchdog_enabled(3))."""
    watched_pid = os.environ.get("WATCHDOG_PID")
    if watched_pid is not None and watched_pid != str(os.getpid()):
        return None
    limit_us = os.environ.get("WATCHDOG_USEC", "")
    if not (limit_us.isascii() and limit_us.isdecimal()) or int(limit_us) == 0:
        return None
    return int(limit_us) / 2 / 1e6


def _tell(state: str) -> None:
    if _sd_notify is None:
        return
    try:
        _sd_notify(state)
    except OSError as error:
        logger.warning("systemd was not told %s: %s", state.partition("=")[0], error)

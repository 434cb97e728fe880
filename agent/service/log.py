"""Where log lines go: the journal with its fields, or plain lines on stderr."""

from __future__ import annotations

import logging
import os
import sys

from agent.config import LogConfig
from protocol.printable import OneLine, to_stderr

try:
    from systemd.journal import JournalHandler
except ImportError:
    JournalHandler = None

# Libraries that speak of every packet; "mqtt" is aiomqtt's and paho's, "libav" PyAV's.
_TALKATIVE = ("libav", "mqtt")
# Libraries that speak of every candidate, and so of where a viewer is: that is nowhere written down.
_INDISCREET = ("aioice", "aiortc")


def set_up(config: LogConfig) -> None:
    """Send all log records of the process to the journal where stderr is one, else to stderr."""
    level = logging.getLevelNamesMapping()[config.level.upper()]
    logging.basicConfig(level=level, handlers=[_handler()], force=True)
    for name in _TALKATIVE:
        logging.getLogger(name).setLevel(level if level == logging.DEBUG else max(level, logging.WARNING))
    for name in _INDISCREET:
        logging.getLogger(name).setLevel(max(level, logging.WARNING))


def _handler() -> logging.Handler:
    if JournalHandler is not None and _stderr_is_journal():
        handler: logging.Handler = JournalHandler(SYSLOG_IDENTIFIER="camward")
        handler.setFormatter(OneLine("%(message)s"))
        return handler
    return to_stderr()


def _stderr_is_journal() -> bool:
    """Whether JOURNAL_STREAM names the device and inode of stderr (systemd.exec(5))."""
    try:
        stderr = os.fstat(sys.stderr.fileno())
    except (OSError, ValueError, AttributeError):
        return False
    return os.environ.get("JOURNAL_STREAM") == f"{stderr.st_dev}:{stderr.st_ino}"

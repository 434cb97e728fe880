"""Where log lines go: the journal with its fields, or plain lines on stderr."""

from __future__ import annotations

import copy
import logging
import os
import sys

from agent.config import LogConfig
from agent.service.printable import printable

try:
    from systemd.journal import JournalHandler
except ImportError:
    JournalHandler = None

# Libraries that speak of every packet or candidate; "mqtt" is aiomqtt's and paho's, "libav" PyAV's.
_TALKATIVE = ("aioice", "aiortc", "libav", "mqtt")


def set_up(config: LogConfig) -> None:
    """Send all log records of the process to the journal where stderr is one, else to stderr."""
    level = logging.getLevelNamesMapping()[config.level.upper()]
    logging.basicConfig(level=level, handlers=[_handler()], force=True)
    for name in _TALKATIVE:
        logging.getLogger(name).setLevel(level if level == logging.DEBUG else max(level, logging.WARNING))


def _handler() -> logging.Handler:
    if JournalHandler is not None and _stderr_is_journal():
        handler: logging.Handler = JournalHandler(SYSLOG_IDENTIFIER="camward")
        handler.setFormatter(_OneLine("%(message)s"))
    else:
        handler = logging.StreamHandler()
        handler.setFormatter(_OneLine("%(asctime)s %(levelname)s %(name)s: %(message)s", "%H:%M:%S"))
    return handler


def _stderr_is_journal() -> bool:
    """Whether JOURNAL_STREAM names the device and inode of stderr (systemd.exec(5))."""
    try:
        stderr = os.fstat(sys.stderr.fileno())
    except (OSError, ValueError, AttributeError):
        return False
    return os.environ.get("JOURNAL_STREAM") == f"{stderr.st_dev}:{stderr.st_ino}"


class _OneLine(logging.Formatter):
    """A record is one line, whatever strangers put into it; a traceback follows, indented and as harmless."""

    def format(self, record: logging.LogRecord) -> str:
        """The record as text; the record itself stays as it is for other handlers."""
        safe = copy.copy(record)
        safe.levelname = record.levelname.lower()
        safe.msg, safe.args = printable(record.getMessage()), None
        if record.exc_info:
            trace = self.formatException(record.exc_info)
            safe.exc_text = "\n".join(f"  {printable(line)}" for line in trace.split("\n"))
        return super().format(safe)

"""Text from strangers, made safe for a terminal, a journal line and an sd_notify datagram."""

from __future__ import annotations

import copy
import logging


def printable(text: str) -> str:
    r"""`text` in one line: control, format and unassigned characters become escapes such as \n and \x1b."""
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode("ascii") for char in text)


class OneLine(logging.Formatter):
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


def to_stderr() -> logging.Handler:
    """Make the handler that writes such lines to stderr, with the time, the level and the logger."""
    handler = logging.StreamHandler()
    handler.setFormatter(OneLine("%(asctime)s %(levelname)s %(name)s: %(message)s", "%H:%M:%S"))
    return handler

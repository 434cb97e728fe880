"""What a viewer may ask for over the data channel `control`: one JSON object in, one out (pure).

What is asked is checked against the grant each time: a renewed one may allow more or less.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from agent.rates import Bucket, Rate
from agent.webrtc.sdp import MAX_COMMAND_BYTES
from protocol.printable import printable

LABEL: Final = "control"
SCOPE: Final = "control"  # without it in the grant, there is no channel
_RATE: Final = Rate(burst=20, per_s=5)  # commands
_MOST_ID: Final = 64  # characters
_MOST_MESSAGE: Final = 250  # characters
SENTENCES: Final = {
    "malformed": "A command is a JSON object with the members command and id, both text, and those it takes.",
    "too-long": f"A command has at most {MAX_COMMAND_BYTES} bytes.",
    "rate": "Too many commands at once: wait a moment.",
    "unknown": "This camera knows no such command; describe lists those that it knows.",
    "forbidden": "The grant does not allow this.",
    "unfit": "This camera cannot do that.",
}

Run = Callable[[Mapping[str, Any]], Mapping[str, Any]]
"""Carries out what the whole object asks for. Errors: CommandRefused."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """One command: the scope that a grant must have for it, and what it does."""

    scope: str
    run: Run


class CommandRefused(Exception):
    """A command that is not carried out; `error` is one of SENTENCES, and `message` may say more than its sentence.

    A message may repeat what was sent: it is made printable, and cut.
    """

    def __init__(self, error: str, message: str = "") -> None:
        super().__init__(printable(message)[:_MOST_MESSAGE] or SENTENCES[error])
        self.error = error


class Control:
    """One viewer's commands. `scope` gives what its grant allows now; `describe` is known to every camera."""

    def __init__(self, commands: Mapping[str, Command], *, scope: Callable[[], frozenset[str]], now: float) -> None:
        self._commands = {"describe": Command(scope=SCOPE, run=self._describe), **commands}
        self._scope = scope
        self._bucket = Bucket(_RATE, now)

    def answer(self, message: str | bytes, now: float) -> str:
        """Carry out one command, and say what came of it or why it was refused. Never raises for what was sent."""
        name = None
        try:
            asked = self._read(message, now)
            name = asked["id"]
            known = self._commands.get(asked["command"])
            if known is None:
                raise CommandRefused("unknown")
            if not {SCOPE, known.scope} <= self._scope():
                raise CommandRefused("forbidden")
            return json.dumps({"id": name, "result": known.run(asked)}, separators=(",", ":"))
        except CommandRefused as refusal:
            return json.dumps({"id": name, "error": refusal.error, "message": str(refusal)}, separators=(",", ":"))

    def _read(self, message: str | bytes, now: float) -> dict[str, Any]:
        if not self._bucket.has(now):
            raise CommandRefused("rate")
        self._bucket.spend()
        if len(message) > MAX_COMMAND_BYTES:
            raise CommandRefused("too-long")
        try:
            said = json.loads(message)
        except (ValueError, RecursionError) as error:
            raise CommandRefused("malformed") from error
        if not isinstance(said, dict):
            raise CommandRefused("malformed")
        name, command = said.get("id"), said.get("command")
        if not isinstance(name, str) or not isinstance(command, str) or len(name) > _MOST_ID:
            raise CommandRefused("malformed")
        return said

    def _describe(self, asked: Mapping[str, Any]) -> dict[str, Any]:
        scope = self._scope()
        allowed = sorted(name for name, command in self._commands.items() if command.scope in scope)
        return {"scope": sorted(scope), "commands": allowed}

"""Why a message, a chain or a name is refused.

ProtocolError
├── Malformed         it is not what its kind says it must be
├── Untrusted         the chain does not lead to the fleet's root, or carries another role
├── BadSignature      the key that it names did not sign it
├── Overloaded        it was not looked at: others like it have cost too much
└── Refused           all signatures are good, and it is still not to be served
"""

from __future__ import annotations


class ProtocolError(Exception):
    """A message that must not be acted upon. The text never quotes its content."""


class Malformed(ProtocolError):
    """Not of the form that its kind has: size, JSON, a missing or wrong field."""


class Untrusted(ProtocolError):
    """A certificate chain that does not verify for the role that is wanted."""


class BadSignature(ProtocolError):
    """The signature does not verify under the key that the message names."""


class Overloaded(ProtocolError):
    """Not looked at, because there is no time for it now; nothing is said about what it is."""


class Refused(ProtocolError):
    """Signed well, yet not to be served: `reason` is one of `messages.BYE_REASONS`."""

    def __init__(self, reason: str, why: str) -> None:
        super().__init__(why)
        self.reason = reason

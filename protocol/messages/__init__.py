"""The messages between device, fleet and viewer: what each carries, and how strictly it is read.

Unknown members are passed over, so that a version can grow; a known one of the wrong type refuses the message.
Signatures are `protocol.jws`'s business: a `parse` here gets a payload that somebody has believed, or is about to.
"""

from __future__ import annotations

from protocol.messages.calls import BYE_REASONS, MAX_SDP, Answer, Bye, Candidate, Move, Offer, Renew
from protocol.messages.device import Status, Telemetry
from protocol.messages.grants import MAX_GRANT_S, SCOPES, Grant, Revoke
from protocol.messages.reading import CAMERA_NAME, MOST_CAMERAS

__all__ = [
    "BYE_REASONS",
    "CAMERA_NAME",
    "MAX_GRANT_S",
    "MAX_SDP",
    "MOST_CAMERAS",
    "SCOPES",
    "Answer",
    "Bye",
    "Candidate",
    "Grant",
    "Message",
    "Move",
    "Offer",
    "Renew",
    "Revoke",
    "Status",
    "Telemetry",
    "kind_of",
]

Message = Status | Grant | Offer | Answer | Candidate | Bye | Renew | Move | Revoke | Telemetry


def kind_of(message: Message) -> str:
    """Name a message's kind, as its `typ` has it."""
    return type(message).__name__.lower()

"""Why a call gives no picture, or not as much of it as was asked for: one plain sentence, and a class of exit code.

ViewError
├── Fault          1   this machine, or the way to the fleet or the broker
├── Usage          2   what was asked for cannot be done so
├── Declined       3   the camera or the fleet says no
├── NotVerified    4   somebody who speaks for the camera or the fleet cannot prove it
│   └── NotNamed       or the camera's certificate is newer than what the fleet has told
└── NoPicture      5   the camera is offline, or no picture came in time
"""

from __future__ import annotations

from typing import ClassVar, Final

INTERRUPTED: Final = "interrupted"

SENTENCES: Final = {
    # What the camera says in a bye (protocol/messages/calls.py, BYE_REASONS).
    "busy": "The camera serves as many viewers as it can already; try again when one of them has left.",
    "expired": "The permission for this call has run out; call again to get a new one.",
    "forbidden": "This camera may not be watched with this permission; ask whoever runs the fleet for access.",
    "privacy": "The camera's privacy switch is on, and it stays dark until somebody turns the switch off.",
    "codec": "The camera and this viewer have no video format in common.",
    "setup-timeout": "The camera gave up this call: no connection came about in time; check both networks.",
    "revoked": "This camera was taken out of the fleet and is not trusted any more.",
    "shutdown": "The camera is being switched off or restarted; try again in a minute.",
    "replaced": "A newer call with the same key took the place of this one.",
    "left": "The camera ended the call.",
    "failed": "The camera ended the call because of a fault of its own; read its log if it happens again.",
    "no-camera": "The device has no camera of that name; its status names those that it has.",
    "no-candidate": "The camera finds no network address that it may be reached at; check its network and its relay "
    "server.",
    "relay-refused": "The relay server does not accept the camera's credential; it has to be renewed on the camera.",
    # What the fleet says.
    "unknown": "The fleet does not know this camera; `camward fleet devices` lists those that it knows.",
    "not-enrolled": "This camera has not been enrolled yet; run `camward enroll` on it first.",
    "signed-out": "The fleet does not know this caller: it wants a new sign-in code, or an app's valid certificate.",
    "code": "This sign-in code is wrong, used up or too old; `camward fleet grant` makes a new one.",
    "rate": "That was too often in a short time; wait a minute and try again.",
    "too-long": "The fleet found a message of this call too long.",
    "broker": "The fleet has lost its message broker and cannot reach any camera; try again soon.",
    # What this viewer finds out itself.
    "offline": "The camera is not connected to its fleet; check its power and its network.",
    "no-status": "Nothing was heard of this camera; check its id, and that it has been connected once.",
    "no-answer": "The camera did not answer the call in time; it may be starting, so try again.",
    "no-path": "There is no network path to the camera, or it broke; check both networks and try again.",
    "no-picture": "The camera answered, but no picture came in time; read its log if it happens again.",
    "stalled": "The picture stopped: nothing arrived from the camera any more.",
    "bad-answer": "The camera's answer cannot be used by this viewer; update the camera or the viewer.",
    "untrusted-status": "What claims to be this camera cannot prove it, so it was not called; check --root, and who "
    "is in between.",
    "untrusted-answer": "The answer was not signed by this camera for this call, so no picture was taken; somebody in "
    "between may be interfering.",
    "wrong-fingerprint": "The encrypted connection is not made with this camera's certificate, so no picture was "
    "taken; somebody in between may be interfering.",
    "untrusted-fleet": "The fleet's server or broker cannot prove its name under this root; check --root and the "
    "address.",
    INTERRUPTED: "Interrupted before the first picture.",
}


class ViewError(Exception):
    """The end of a call: `reason` for programs, the text for people."""

    exit_code: ClassVar[int]

    def __init__(self, reason: str, sentence: str = "") -> None:
        super().__init__(sentence or SENTENCES.get(reason, f"The call was refused for an unknown reason: {reason!r}."))
        self.reason = reason


class Fault(ViewError):
    """This machine, or the way to the fleet or the broker, does not work."""

    exit_code = 1


class Usage(ViewError):
    """What was asked for cannot be done so."""

    exit_code = 2


class Declined(ViewError):
    """The camera or the fleet says no."""

    exit_code = 3


class NotVerified(ViewError):
    """A signature, a chain or a fingerprint is not what it must be."""

    exit_code = 4


class NotNamed(NotVerified):
    """The camera's chain verifies, and the last grant does not name its certificate."""


class NoPicture(ViewError):
    """The camera is offline, or no picture came in time, or none any more."""

    exit_code = 5

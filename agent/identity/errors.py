"""Why a device has no identity, or no newer one. Every text is one line that says what to do.

EnrollmentError
├── Unreachable     the fleet does not answer now; temporary, all others are permanent
├── WrongRoot       whoever answers is not this fleet's service
├── WrongClock      the certificates do not hold at the time that the clock shows
├── WrongClaim      the one-time code opens nothing
├── Rejected        the fleet does not give this device a certificate
└── Damaged         what is kept on disk, or what the fleet sent, cannot be used
"""

from __future__ import annotations

from typing import ClassVar


class EnrollmentError(Exception):
    """There is no certificate; `temporary` says whether to try again by itself."""

    temporary: ClassVar[bool] = False


class Unreachable(EnrollmentError):
    """The fleet's service does not answer, or says that it is busy."""

    temporary = True


class WrongRoot(EnrollmentError):
    """The service's certificate does not lead to the pinned root, or is for another name."""


class WrongClock(EnrollmentError):
    """The service's certificate is not valid at the time that this device's clock shows."""


class WrongClaim(EnrollmentError):
    """The code is unknown, expired or used."""


class Rejected(EnrollmentError):
    """The fleet knows who asks, and says no."""


class Damaged(EnrollmentError):
    """A file of this device, or an answer of the fleet, is not what it must be."""

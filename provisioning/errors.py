"""Why the registry does not do what it was asked.

RegistryError
├── Unknown               there is no such device, or no such certificate
├── ClaimRefused          the code opens nothing: unknown, expired, or used
└── CertificateRefused    the certificate that somebody showed is not a valid one any more
"""

from __future__ import annotations


class RegistryError(Exception):
    """What was asked is not done; the text is one line for people."""


class Unknown(RegistryError):
    """There is no such device, or no such certificate."""


class ClaimRefused(RegistryError):
    """The code opens nothing: unknown, expired, or used."""


class CertificateRefused(RegistryError):
    """The certificate that somebody showed was superseded or revoked."""

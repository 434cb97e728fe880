"""Secrets that systemd hands over as files (systemd.exec(5), LoadCredential=)."""

from __future__ import annotations

import os
from pathlib import Path


class CredentialError(Exception):
    """A credential is there but cannot be used; the message never carries its content."""


def read_credential(name: str) -> str | None:
    """The credential's text without the space around it; None where systemd gave none. Errors: CredentialError."""
    directory = os.environ.get("CREDENTIALS_DIRECTORY")
    if directory is None:
        return None
    try:
        text = Path(directory, name).read_text(encoding="ascii").strip()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise CredentialError(f"the credential {name} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError:
        # Not chained: the cause carries the content.
        raise CredentialError(f"the credential {name} is not plain text; write it anew") from None
    if not text:
        raise CredentialError(f"the credential {name} is empty; write it anew")
    return text

"""What the device shows its TURN servers: from a file that is read at each call, and may be replaced at any time."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Final

from agent.secret_file import secrets_in
from protocol.ice import Credential, short_lived

_LIFE_S: Final = 600  # an allocation that stands is refreshed after that as well
_NAME: Final = "camward"


def credential(path: Path) -> Credential:
    """Read `username` and `password`, or `secret` (coturn's static-auth-secret).

    Errors: OSError, ValueError; neither quotes what stands in the file.
    """
    match secrets_in(path):
        case {"secret": str(secret), **others} if secret and not others:
            return short_lived(secret, name=_NAME, until_s=int(time.time()) + _LIFE_S)
        case {"username": str(username), "password": str(password), **others} if not others:
            return Credential(username=username, password=password)
    raise ValueError(f"{path} holds either username and password, or secret")

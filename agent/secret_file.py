"""Files with usernames, passwords and secrets, apart from the configuration that people show each other."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any


def secrets_in(path: Path) -> dict[str, Any]:
    """Read a TOML file. Errors: OSError, ValueError; neither quotes what stands in the file."""
    try:
        return tomllib.loads(path.read_text("utf-8"))
    except (UnicodeDecodeError, tomllib.TOMLDecodeError, RecursionError):
        raise ValueError(f"{path} is not TOML") from None  # the cause may quote a password

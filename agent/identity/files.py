"""A file is replaced whole: whenever the power fails, the old content or the new one is there."""

from __future__ import annotations

import os
from pathlib import Path


def write_atomic(path: Path, content: bytes, mode: int = 0o600) -> None:
    """Write beside `path`, sync, rename, sync the directory. What an earlier try left behind is written over."""
    beside = path.with_name(f".{path.name}.new")
    descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, mode)
    try:
        os.fchmod(descriptor, mode)
        rest = memoryview(content)
        while rest:
            rest = rest[os.write(descriptor, rest) :]
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    replace(beside, path)


def replace(source: Path, target: Path) -> None:
    """Move `source` over `target` within one directory, and make that last."""
    os.replace(source, target)  # noqa: PTH105  # beside os.open and os.fsync, which pathlib does not have
    sync_directory(target.parent)


def remove(path: Path) -> None:
    """Remove a file if it is there, and make that last."""
    if path.exists():
        path.unlink()
        sync_directory(path.parent)


def sync_directory(path: Path) -> None:
    """Make the names in a directory survive a loss of power."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

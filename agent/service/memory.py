"""Memory that threads do not spread over arenas of their own."""

from __future__ import annotations

import contextlib
import ctypes
from typing import Final

_M_ARENA_MAX: Final = -8  # malloc.h


def use_one_arena() -> None:
    """Tell glibc's malloc to keep to one arena; another C library goes on as it does.

    It gives each thread an arena that hardly ever shrinks: some megabytes on a small board, and nothing is won by
    them where one thread does nearly all the work.
    """
    with contextlib.suppress(AttributeError):
        ctypes.CDLL(None).mallopt(_M_ARENA_MAX, 1)

"""Memory that is given back: little is left behind by viewers that have come and gone."""

from __future__ import annotations

import contextlib
import ctypes
import gc
from typing import Final

_M_ARENA_MAX: Final = -8  # malloc.h


def use_one_arena() -> None:
    """Tell glibc's malloc to keep to one arena; another C library goes on as it does.

    It gives each thread an arena that hardly ever shrinks: some megabytes on a small board, and nothing is won by
    them where one thread does nearly all the work.
    """
    with contextlib.suppress(AttributeError):
        ctypes.CDLL(None).mallopt(_M_ARENA_MAX, 1)


def settle() -> None:
    """Take all that is there for lasting, once the program has come up.

    The garbage collector never looks at it again: a full collection, which comes when it likes and holds up
    pictures, then takes a few milliseconds and not many.
    """
    gc.collect()
    gc.freeze()


def give_back() -> None:
    """Free what viewers have left behind, and hand free pages back to the system. Called while nobody watches.

    A connection's parts refer to one another, so that only a full collection frees them: 23 MB after 200 viewers.
    """
    gc.collect()
    with contextlib.suppress(AttributeError):
        ctypes.CDLL(None).malloc_trim(0)

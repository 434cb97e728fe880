"""Keys and codes stay in memory: no core dump carries them to a disk, and no other process of the user reads them."""

from __future__ import annotations

import contextlib
import ctypes
import resource
from typing import Final

_PR_SET_DUMPABLE: Final = 4  # prctl(2)


def never_dump() -> None:
    """Switch off core dumps of this process, and by the limit also of those that it starts (core(5)).

    The limit does not hold where the kernel pipes dumps into a program; the flag does, and it keeps debuggers away too.
    """
    resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))
    with contextlib.suppress(AttributeError):  # another C library has no prctl
        ctypes.CDLL(None).prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)

"""Judges each case: only the errors that its door may raise, in time, and nothing kept of it."""

from __future__ import annotations

import gc
import sys
import time
from collections.abc import Callable
from pathlib import Path
from resource import getpagesize
from typing import Final

from tests.fuzz.target import Target

MOST_CPU_S: Final = 0.050
_TRIES: Final = 5  # a collection of garbage or a first import is not the case's fault: the fastest of these counts
MOST_BLOCKS_A_CASE: Final = 0.05  # what may be allocated and stay: less than one object in twenty cases
_FEW_CASES: Final = 5_000  # below that, caches that fill themselves are more than what a leak would be
MOST_RSS: Final = 24 * 2**20  # beyond blocks of Python: the fuzzer's own corpus grows too, and is in here


class Finding(Exception):
    """A case that a stranger should not be able to send; the text says what came of it."""


class Judge:
    """Takes cases for one target. `clock` is the CPU time of this thread, in seconds: a busy machine adds none."""

    def __init__(self, target: Target, clock: Callable[[], float] = time.thread_time) -> None:
        self.cases = 0
        self.refused = 0
        self.slowest_s = 0.0
        self._target = target
        self._clock = clock
        self._settled: tuple[int, int, int] | None = None

    def take(self, case: bytes) -> None:
        """Judge one case. Errors: Finding."""
        took_s = self._timed(case)
        if took_s > MOST_CPU_S:
            took_s = min(took_s, *(self._timed(case) for _ in range(_TRIES - 1)))
        self.cases += 1
        self.slowest_s = max(self.slowest_s, took_s)
        if took_s > MOST_CPU_S:
            raise Finding(f"took {took_s * 1e3:.0f} ms of CPU time, {MOST_CPU_S * 1e3:.0f} are allowed")

    def settled(self) -> None:
        """Say that whatever fills itself once has done so: from here on memory is compared."""
        self._settled = (self.cases, *_memory())

    def growth(self) -> tuple[int, int]:
        """How many objects and bytes more there are than when it was settled. Errors: Finding."""
        assert self._settled is not None
        since, blocks_before, rss_before = self._settled
        blocks, rss = _memory()
        grown, cases = blocks - blocks_before, self.cases - since
        if cases >= _FEW_CASES and grown > MOST_BLOCKS_A_CASE * cases:
            raise Finding(f"{grown} objects stayed of {cases} cases")
        if rss - rss_before > MOST_RSS:
            raise Finding(f"{(rss - rss_before) >> 20} MB stayed of {cases} cases")
        return grown, rss - rss_before

    def _timed(self, case: bytes) -> float:
        began = self._clock()
        try:
            self._target.take(case)
        except self._target.refusals:
            self.refused += 1
        except Exception as error:
            raise Finding(f"raised {type(error).__name__}: {error}") from error
        return self._clock() - began


def _memory() -> tuple[int, int]:
    gc.collect()
    resident = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return sys.getallocatedblocks(), resident * getpagesize()

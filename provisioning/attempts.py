"""Pure: how often somebody may be wrong before they have to wait."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

MOST_NAMES: Final = 4096


@dataclass(frozen=True, slots=True, kw_only=True)
class _Window:
    ends_at: datetime
    failures: int


class Attempts:
    """Counts failures a name (an address, say) in windows of time.

    At most MOST_NAMES are remembered; one more forgets the one whose window began first.
    """

    def __init__(self, *, most: int, window: timedelta) -> None:
        self._most = most
        self._window = window
        self._windows: OrderedDict[str, _Window] = OrderedDict()

    def wait(self, name: str, now: datetime) -> timedelta:
        """Say how long `name` has to wait; zero when it may try."""
        window = self._windows.get(name)
        if window is None or window.failures < self._most:
            return timedelta(0)
        return max(window.ends_at - now, timedelta(0))

    def failed(self, name: str, now: datetime) -> None:
        """Count a failure of `name`."""
        window = self._windows.get(name)
        if window is not None and window.ends_at > now:
            self._windows[name] = _Window(ends_at=window.ends_at, failures=window.failures + 1)
            return
        self._windows.pop(name, None)
        self._windows[name] = _Window(ends_at=now + self._window, failures=1)
        if len(self._windows) > MOST_NAMES:
            self._windows.popitem(last=False)

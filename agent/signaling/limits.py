"""How much strangers may cost, and how often a viewer may call (pure): time comes in as `now`, in seconds."""

from __future__ import annotations

from collections import OrderedDict
from typing import Final

from agent.rates import Bucket, Rate

MOST_VIEWERS: Final = 256  # whose buckets are kept; the one that was quiet for longest is forgotten, and is full anew
CALLS_OF_A_VIEWER: Final = Rate(burst=10, per_s=0.5)
CALLS_IN_ALL: Final = Rate(burst=40, per_s=5)
FOLLOW_UPS_OF_A_VIEWER: Final = Rate(burst=100, per_s=10)  # candidates, byes, renewals
MOVES_OF_A_VIEWER: Final = Rate(burst=10, per_s=1)  # each makes a connection, in the place of one that did not come up
STRANGERS_CPU_S: Final = Rate(burst=0.3, per_s=0.3)  # seconds of one core for what does not verify in the end


class Viewers:
    """A bucket for each viewer's key. Only keys that have proved themselves are given one."""

    def __init__(self, rate: Rate) -> None:
        self._rate = rate
        self._buckets: OrderedDict[str, Bucket] = OrderedDict()

    def may(self, viewer: str, now: float) -> bool:
        """Whether this viewer has one more; a key that was never seen has."""
        bucket = self._buckets.get(viewer)
        return bucket is None or bucket.has(now)

    def spend(self, viewer: str, now: float) -> None:
        """Note one more of a viewer whose signature was good."""
        bucket = self._buckets.setdefault(viewer, Bucket(self._rate, now))
        self._buckets.move_to_end(viewer)
        bucket.spend()
        if len(self._buckets) > MOST_VIEWERS:
            self._buckets.popitem(last=False)


class Strangers:
    """The time of one core that may go into messages which turn out to be nobody's.

    Known authorisers' viewers come first: a chain that was never seen is looked at only while half of it is left.
    """

    def __init__(self, now: float) -> None:
        self._bucket = Bucket(STRANGERS_CPU_S, now)

    def may_read(self, now: float) -> bool:
        """Whether a message is read at all."""
        return self._bucket.has(now, 0.0)

    def may_meet(self, now: float) -> bool:
        """Whether a chain that was never seen is verified."""
        return self._bucket.has(now, STRANGERS_CPU_S.burst / 2)

    def charge(self, cpu_s: float) -> None:
        """Note what a message cost that did not verify."""
        self._bucket.spend(cpu_s)

"""The systemd watchdog, fed only while the camera does what it is asked for.

That the loop runs shows by itself: it is the loop that feeds.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from agent.service import notify

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """What the camera says about itself; every time is on the clock of `now`, seconds.

    A camera that waits after a temporary error, sleeps or is closed is no reason to restart the daemon.
    """

    camera_state: Callable[[], str]  # "starting" and "streaming" are held to account, any other word is not
    state_since: Callable[[], float]  # when it entered that state
    last_frame_at: Callable[[], float | None]  # when a frame last left the encoder, in this run or an earlier one
    name: str = "the camera"
    stall_s: float = 10.0  # a camera that streams; one that starts has three times as long

    def stuck(self, now: float) -> str | None:
        """Why the camera does not move, or None."""
        state, since = self.camera_state(), self.state_since()
        if state == "starting" and now - since > 3 * self.stall_s:
            return f"{self.name} has been starting for {now - since:.0f} s"
        if state == "streaming":
            last_frame_at = self.last_frame_at()
            silent_s = now - (since if last_frame_at is None else max(since, last_frame_at))
            if silent_s > self.stall_s:
                return f"no frame left the encoder of {self.name} for {silent_s:.0f} s"
        return None


async def feed(cameras: Sequence[Progress], interval_s: float) -> None:
    """Ping systemd every `interval_s` while nothing is stuck, until cancelled; systemd acts on the silence."""
    loop = asyncio.get_running_loop()
    was_stuck = False
    while True:
        reason = next(filter(None, (camera.stuck(loop.time()) for camera in cameras)), None)
        if reason is None:
            notify.watchdog()
        if reason is not None and not was_stuck:
            logger.error("%s; systemd restarts the service unless that changes", reason)
            notify.status(reason)
        elif reason is None and was_stuck:
            logger.info("the camera moves again")
            notify.status("the camera moves again")
        was_stuck = reason is not None
        await asyncio.sleep(interval_s)

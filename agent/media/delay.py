"""Whether a queue grows on the way to a viewer (draft-ietf-rmcat-gcc-02, sections 5.1 to 5.4)."""

from __future__ import annotations

from typing import Final, Literal

from agent.media.line import Line

Usage = Literal["normal", "over", "under"]

BURST_MS: Final = 5.0
"""burst_time (section 5.6): what arrives so close together was held up together, by a radio for one."""

GROUP_MS: Final = 20.0
"""Batches that left within this are one group. A picture leaves as several, and they queue behind each other."""

WINDOW: Final = 20
"""Groups in the trend line: two thirds of a second of pictures, as many as libwebrtc takes."""

SMOOTHING: Final = 0.9
GAIN: Final = 240.0
"""Makes the slope (ms of delay a ms) comparable with the threshold: libwebrtc's 60 deltas times its gain of 4."""

THRESHOLD: Final = 12.5
LEAST_THRESHOLD, MOST_THRESHOLD = 6.0, 600.0
"""del_var_th at first, and its bounds (sections 5.4 and 5.6)."""

UP, DOWN = 0.0087, 0.039
"""K_u and K_d (section 5.4) a ms, as in libwebrtc: with the draft's 0.01 and 0.00018, and a sample a picture, the
threshold runs away from a delay that grows slowly, and a link of 2 Mbit/s is found full at 2.4."""

MOST_ABOVE: Final = 15.0
"""What is so far above the threshold does not raise it (section 5.4)."""

OVERUSE_MS: Final = 10.0
"""overuse_time_th (section 5.6)."""

_LEAST_GROUPS: Final = 5  # a line through fewer is none
_MOST_ADAPTED_MS: Final = 100.0
_JUMP_MS: Final = 3_000.0


class DelayTrend:
    """Arrival-time filter, adaptive threshold and over-use detector; `usage` is what it finds.

    The filter is a trend line through smoothed delays, as in libwebrtc. A batch leaves in one system call, so that
    its own packets queue behind one another whatever the link: its first packet's delay tells of the queue before it.
    """

    def __init__(self) -> None:
        self.usage: Usage = "normal"
        self.threshold = THRESHOLD
        self.trend = 0.0
        self._group: tuple[float, float] | None = None  # when it left, and when it arrived
        self._group_began_ms = 0.0
        self._origin: tuple[float, float] | None = None
        self._smoothed_ms = 0.0
        self._last_ms = 0.0  # when the last sample arrived
        self._line = Line(WINDOW)
        self._above_ms = -1.0  # how long the trend has been above the threshold; below 0 it is not

    def add(self, sent_ms: float, arrived_ms: float) -> None:
        """Take a batch: when it left, and when its first packet arrived by the receiver's own clock."""
        group = self._group
        if group is None:
            self._group, self._group_began_ms = (sent_ms, arrived_ms), sent_ms
            return
        group_sent_ms, group_arrived_ms = group
        longer_ms = (arrived_ms - group_arrived_ms) - (sent_ms - group_sent_ms)
        if not -_JUMP_MS < longer_ms < _JUMP_MS:  # the receiver's clock was set, or the path is another one
            self._restart()
            self._group, self._group_began_ms = (sent_ms, arrived_ms), sent_ms
        elif sent_ms < group_sent_ms:
            pass  # reordered, and too late to matter
        elif longer_ms < 0 and arrived_ms - group_arrived_ms <= BURST_MS:
            self._group, self._group_began_ms = (sent_ms, arrived_ms), sent_ms
        elif sent_ms - self._group_began_ms > GROUP_MS:
            self._sample(group_sent_ms, group_arrived_ms)
            self._group, self._group_began_ms = (sent_ms, arrived_ms), sent_ms

    def _restart(self) -> None:
        self.usage, self.trend = "normal", 0.0
        self._origin, self._smoothed_ms, self._last_ms, self._above_ms = None, 0.0, 0.0, -1.0
        self._line = Line(WINDOW)

    def _sample(self, sent_ms: float, arrived_ms: float) -> None:
        if self._origin is None:
            self._origin = (sent_ms, arrived_ms)
        time_ms = arrived_ms - self._origin[1]
        delay_ms = time_ms - (sent_ms - self._origin[0])
        self._smoothed_ms = SMOOTHING * self._smoothed_ms + (1 - SMOOTHING) * delay_ms
        step_ms = time_ms - self._last_ms
        self._last_ms = time_ms
        self._line.add(time_ms, self._smoothed_ms)
        if (number := len(self._line)) >= _LEAST_GROUPS:
            self._detect(self._line.slope() * GAIN * number / WINDOW, step_ms)

    def _detect(self, trend: float, step_ms: float) -> None:
        if trend > self.threshold:
            # Half a step: somewhere between the two samples it went above.
            self._above_ms = step_ms / 2 if self._above_ms < 0 else self._above_ms + step_ms
            if self._above_ms > step_ms / 2 and self._above_ms > OVERUSE_MS and trend >= self.trend:
                self._above_ms = 0.0
                self.usage = "over"
        else:
            self._above_ms = -1.0
            self.usage = "under" if trend < -self.threshold else "normal"
        self.trend = trend
        self._adapt(abs(trend), step_ms)

    def _adapt(self, size: float, step_ms: float) -> None:
        if size - self.threshold > MOST_ABOVE:
            return
        rate = UP if size > self.threshold else DOWN
        moved = self.threshold + rate * min(max(step_ms, 0.0), _MOST_ADAPTED_MS) * (size - self.threshold)
        self.threshold = min(max(moved, LEAST_THRESHOLD), MOST_THRESHOLD)

"""What a call was like, in figures. Pure; `now` is in monotonic seconds."""

from __future__ import annotations

from dataclasses import dataclass

from viewer.reassembly import CLOCK_HZ, Unit


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """A call, from its first picture to its last."""

    frames: int
    bytes: int
    duration_s: float  # of the picture, by the camera's clock
    width: int | None
    height: int | None
    fps: float | None
    bitrate_bps: int | None
    packets_lost: int
    time_to_first_picture_ms: int | None


class Figures:
    """Counts pictures; `began` is when the call was begun."""

    def __init__(self, began: float) -> None:
        self.frames = 0
        self.size: tuple[int, int] | None = None
        self.last_at: float | None = None
        self._began = began
        self._bytes = 0
        self._first_at: float | None = None
        self._first_ticks = 0
        self._last_ticks = 0
        self._shown = (began, 0, 0)

    def picture(self, unit: Unit, now: float) -> None:
        """Count one picture."""
        if self._first_at is None:
            self._first_at, self._first_ticks = now, unit.ticks
            self._shown = (now, 0, 0)
        self.last_at, self._last_ticks = now, unit.ticks
        self.frames += 1
        self._bytes += len(unit.data)

    def line(self, now: float, packets_lost: int) -> str:
        """Say what happened since the last line."""
        then, frames, size = self._shown
        self._shown = (now, self.frames, self._bytes)
        step_s = max(now - then, 0.001)
        fps, bitrate_bps = (self.frames - frames) / step_s, 8 * (self._bytes - size) / step_s
        picture = "{}x{}".format(*self.size) if self.size else "unknown size"
        elapsed_s = now - (self._first_at or now)
        rates = f"{fps:4.1f} fps  {bitrate_bps / 1e6:5.2f} Mbit/s"
        return f"{elapsed_s:5.0f} s  {picture}  {rates}  {packets_lost} packets lost"

    def summary(self, packets_lost: int) -> Summary:
        """Sum up the whole call."""
        between_s = (self._last_ticks - self._first_ticks) / CLOCK_HZ
        # The last picture lasts as long as the others did.
        duration_s = between_s * self.frames / (self.frames - 1) if self.frames > 1 else 0.0
        known = duration_s > 0
        width, height = self.size or (None, None)
        return Summary(
            frames=self.frames,
            bytes=self._bytes,
            duration_s=round(duration_s, 3),
            width=width,
            height=height,
            fps=round(self.frames / duration_s, 3) if known else None,
            bitrate_bps=round(8 * self._bytes / duration_s) if known else None,
            packets_lost=packets_lost,
            time_to_first_picture_ms=None if self._first_at is None else round(1000 * (self._first_at - self._began)),
        )

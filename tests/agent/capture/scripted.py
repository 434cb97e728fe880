"""A Source that does what a test tells it, and passes the contract of the real ones when it is told nothing."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

import av

from agent.capture import camera_controls
from agent.capture.camera_controls import Offered, Range
from agent.capture.encoder import Encoder
from agent.config import CameraConfig
from agent.media.access_unit import AccessUnit, StreamName

Emit = Callable[[AccessUnit], None]

SMALL = CameraConfig(source="pattern", width=64, height=64, fps=30, bitrate_bps=100_000)

OFFERED: Offered = {
    "FrameDurationLimits": (20_000, 66_666, 33_333),
    "ExposureTime": (26, 220_416_802, 20_000),
    "AwbMode": (0, 7, 0),
    "AfMode": (0, 2, 0),
    "LensPosition": (0.0, 15.0, 1.0),
}
"""What a ScriptedAdjustable offers, as picamera2 would list it."""


class Scripted:
    """Encodes a grey picture, in one stream. `act` replaces its run: `steady` for pictures, or raise, or hang."""

    def __init__(self, act: Callable[[Scripted, Emit], None] | None = None) -> None:
        self.name = "scripted"
        self.has_sub = False
        self.stopped = threading.Event()
        self.keyframes_requested = 0
        self.bitrates_bps: list[int] = []
        self._act = act or Scripted.steady
        self._encoder = Encoder(SMALL)
        self._frame = av.VideoFrame(64, 64, "yuv420p")
        for plane in self._frame.planes:
            plane.update(b"\x80" * plane.buffer_size)
        self._index = 0

    def run(self, emit: Emit) -> None:
        self._act(self, emit)

    def steady(self, emit: Emit) -> None:
        """Emit in real time until stopped."""
        began = time.monotonic()
        while not self.stopped.wait(max(0.0, began + self._index / SMALL.fps - time.monotonic())):
            emit(self.picture())

    def picture(self) -> AccessUnit:
        """Encode the next picture."""
        (unit,) = self._encoder.encode(self._frame, self._index * 1_000_000 // SMALL.fps)
        self._index += 1
        return unit

    def stop(self) -> None:
        self.stopped.set()

    def request_keyframe(self, stream: StreamName = "main") -> None:
        self.keyframes_requested += 1
        self._encoder.request_keyframe()

    def set_bitrate(self, bitrate_bps: int, stream: StreamName = "main") -> None:
        self.bitrates_bps.append(bitrate_bps)
        self._encoder.set_bitrate(bitrate_bps)

    def want_sub(self, wanted: bool) -> None:
        pass


class ScriptedAdjustable(Scripted):
    """One whose settings can change, judged by the rules of the real ones; it notes libcamera's controls."""

    def __init__(self, act: Callable[[Scripted, Emit], None] | None = None) -> None:
        super().__init__(act)
        self.controls: list[dict[str, Any]] = []

    def ranges(self) -> dict[str, Range]:
        return camera_controls.ranges(OFFERED)

    def set_control(self, setting: str, value: Any) -> None:
        self.controls.append(camera_controls.while_running(setting, value, OFFERED))

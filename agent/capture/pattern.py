"""The camera that every machine has: a moving picture with the time in it, encoded by libx264."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from agent.capture.encoders import Encoders
from agent.capture.picture import Picture
from agent.config import CameraConfig
from agent.media.access_unit import AccessUnit, StreamName


class Pattern:
    """A Source without a camera, paced by the monotonic clock: a picture whose moment has passed is left out."""

    def __init__(self, config: CameraConfig) -> None:
        self.name = f"pattern {config.width}x{config.height} at {config.fps} fps, libx264"
        self._config = config
        self._encoders = Encoders(config)
        self.has_sub = self._encoders.has_sub
        self._stopped = threading.Event()

    def run(self, emit: Callable[[AccessUnit], None]) -> None:
        """Draw, encode and emit until stopped. Errors: PermanentCaptureError."""
        fps = self._config.fps
        picture = Picture(self._config.width, self._config.height)
        began, index = time.monotonic(), 0
        while not self._stopped.wait(max(0.0, began + index / fps - time.monotonic())):
            picture.draw(time.time())
            for unit in self._encoders.encode(picture.frame, index * 1_000_000 // fps):
                emit(unit)
            index = max(index, int((time.monotonic() - began) * fps)) + 1

    def stop(self) -> None:
        """End `run` before its next picture."""
        self._stopped.set()

    def request_keyframe(self, stream: StreamName = "main") -> None:
        """Make the next picture a keyframe."""
        self._encoders.request_keyframe(stream)

    def set_bitrate(self, bitrate_bps: int, stream: StreamName = "main") -> None:
        """Aim at `bitrate_bps` from the next picture on."""
        self._encoders.set_bitrate(bitrate_bps, stream)

    def want_sub(self, wanted: bool) -> None:
        """Encode a smaller picture too, or no more."""
        self._encoders.want_sub(wanted)

"""A camera on the Raspberry Pi's own connector, through picamera2. The chip's encoder and sensor modes are unproven.

The run's own thread is picamera2's event loop: pictures pass through no queue on their way to an encoder, and nothing
of ours is left running when one fails. Up to the Pi 4 picamera2's encoder drives the hardware one. A Pi 5 has none: its
pictures are encoded here, since picamera2's encoder for that case cannot make a keyframe on request.
"""

from __future__ import annotations

import gc
import queue
import select
import threading
import time
from collections.abc import Callable
from typing import Any

from agent.capture import camera_controls
from agent.capture.camera_controls import Range, UnfitControl
from agent.capture.picamera_chip import Chips, chip_encoder
from agent.capture.picamera_encoders import Encodes, Software, Wishes
from agent.capture.picamera_open import chosen, opened
from agent.capture.source import TemporaryCaptureError
from agent.config import CameraConfig
from agent.media.access_unit import AccessUnit, StreamName

STALL_S = 5.0
"""A camera that gives nothing for so long has stalled; the longest exposure takes a second."""

_POLL_S = 0.2
_CONTROLS_BOUND = 32


class Picamera:
    """A Source of one of libcamera's cameras: `wanted` by its Id, its sensor or its number, "" for the first.

    Drop rule: of the pictures that came while one was encoded here, only the latest is encoded next. The chip's
    encoder takes every picture.
    """

    def __init__(self, config: CameraConfig, wanted: str = "", *, stall_s: float = STALL_S) -> None:
        """Find the camera. Errors: Permanent without picamera2, TemporaryCaptureError without the camera."""
        self._found = chosen(wanted)
        self.has_sub = config.sub_bitrate_bps > 0
        self.name = f"picamera {self._found.model} {config.width}x{config.height} at {config.fps} fps"
        self._config = config
        self._stall_s = stall_s
        self._stopped = threading.Event()
        self._wishes = Wishes(config)
        self._offered: camera_controls.Offered = {}
        self._controls: queue.Queue[dict[str, Any]] = queue.Queue(_CONTROLS_BOUND)

    def run(self, emit: Callable[[AccessUnit], None]) -> None:
        """Emit what the camera gives until stopped. Errors: CaptureError."""
        if self._stopped.is_set():
            return
        try:
            self._open_and_serve(emit)
        except (RuntimeError, OSError) as error:  # libcamera's and the kernel's way to say that a device went away
            raise TemporaryCaptureError(
                f"{self._found} failed ({error}): check its cable; `dmesg` may say more"
            ) from error
        finally:
            self._offered = {}
            # picamera2's objects refer to each other, and buffers of many megabytes hang on them.
            gc.collect()

    def stop(self) -> None:
        """End `run` with the camera's next picture, or without one."""
        self._stopped.set()

    def request_keyframe(self, stream: StreamName = "main") -> None:
        """Make one of the next pictures a keyframe."""
        self._wishes.keyframes.add(stream)

    def set_bitrate(self, bitrate_bps: int, stream: StreamName = "main") -> None:
        """Aim at `bitrate_bps` from one of the next pictures on."""
        self._wishes.bitrates[stream] = bitrate_bps

    def want_sub(self, wanted: bool) -> None:
        """Encode the camera's second, smaller picture too, or no more."""
        self._wishes.sub = wanted and self.has_sub

    def ranges(self) -> dict[str, Range]:
        """Say of each setting that can change while the camera runs what it may be; nothing before and after."""
        return camera_controls.ranges(self._offered)

    def set_control(self, setting: str, value: Any) -> None:
        """Change a setting of the camera that runs. From any thread, never blocks. Errors: UnfitControl.

        Drop rule: beyond 32 changes between two pictures, the next are refused.
        """
        if not self._offered:
            raise camera_controls.asleep(setting)
        try:
            self._controls.put_nowait(camera_controls.while_running(setting, value, self._offered))
        except queue.Full:
            raise UnfitControl(f"camera.{setting} cannot be set: too many changes at once") from None

    def _open_and_serve(self, emit: Callable[[AccessUnit], None]) -> None:
        with opened(self._found, self._config) as camera:
            self._offered = camera.camera_controls
            chip = chip_encoder()
            encodes = Chips(camera, self._config, self._wishes, chip) if chip else Software(camera, self._config)
            self.name = f"{self.name}, {encodes.name}"
            with encodes:
                self.has_sub = encodes.has_sub
                self._serve(camera, encodes, emit)

    def _serve(self, camera: Any, encodes: Encodes, emit: Callable[[AccessUnit], None]) -> None:
        try:
            camera.start(show_preview=None)  # no event loop of picamera2's own
        except RuntimeError:
            # picamera2 takes it for not started, and libcamera for running: it could never be closed.
            camera.camera.stop()
            raise
        heard_at = time.monotonic()
        while not self._stopped.is_set():
            ready, _, _ = select.select([camera.notifyme_r, *encodes.wakes], [], [], _POLL_S)
            if camera.notifyme_r in ready:
                camera.notifymeread.read()
                camera.process_requests(None)
            for unit in encodes.units(self._wishes):
                heard_at = time.monotonic()
                emit(unit)
            while not self._controls.empty():
                with camera.request_lock:  # picamera2 forgets a control that comes while it hands others over
                    camera.set_controls(self._controls.get_nowait())
            if time.monotonic() - heard_at > self._stall_s:
                raise TemporaryCaptureError(
                    f"{self._found} gave no picture for {self._stall_s:g} s: check its cable; `dmesg` may say more"
                )

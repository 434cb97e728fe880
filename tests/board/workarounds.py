"""What picamera2 from PyPI needs on libcamera's virtual pipeline, in one place. Nothing of it is in the agent.

The virtual cameras are no Raspberry Pi's: no raw stream, buffers of libcamera's own, pictures as fast as they are asked
for. Everything else, from libcamera's manager to picamera2's loop, is what a board runs.
"""

from __future__ import annotations

import contextlib
import sys
import threading
import time
import types
from typing import Any

FPS = 30
"""How many pictures a second each virtual camera gives, by our pace."""

stalled: set[str] = set()
"""The Ids of cameras that fill no buffer as long as they stand here, as one whose cable came loose."""

gone: set[str] = set()
"""The Ids of cameras that take no request any more, as one whose driver went away."""


def apply() -> None:
    """Make picamera2 fit for the virtual cameras. Once, before anything else imports it."""
    sys.modules["pykms"] = sys.modules["kms"] = _pykms()
    import libcamera
    from picamera2 import Picamera2, allocators
    from picamera2 import picamera2 as module
    from picamera2.allocators import allocator

    allocator.Sync.__exit__ = _closing(allocator.Sync.__exit__)
    # There is no DMA heap to allocate from; libcamera's own allocator, which wants the camera, comes with `configure`.
    module.DmaAllocator = lambda: None
    configure = Picamera2.configure_

    def configure_with_an_allocator(self: Any, *arguments: Any) -> None:
        self.allocator = allocators.LibcameraAllocator(self.camera)
        configure(self, *arguments)

    Picamera2.configure_ = configure_with_an_allocator
    # Asked for the raw role, the pipeline gives nothing, and picamera2 wants one mode at least.
    Picamera2._get_raw_modes = lambda self: [{"format": "SRGGB10", "size": (1280, 720)}]
    pace = _Pace(libcamera.Camera.queue_request, libcamera.Camera.stop)
    libcamera.Camera.queue_request = lambda camera, request: pace.queue_request(camera, request)
    libcamera.Camera.stop = lambda camera: pace.stop(camera)


def _pykms() -> types.ModuleType:
    """Stand for a module that PyPI does not have; picamera2 reads its pixel formats when it is imported."""
    pykms = types.ModuleType("pykms")
    anything = type("Anything", (type,), {"__getattr__": lambda kind, name: name})
    pykms.PixelFormat = anything("PixelFormat", (), {})  # type: ignore[attr-defined]
    return pykms


def _closing(leave: Any) -> Any:
    def closed(self: Any, *arguments: Any) -> None:
        with contextlib.suppress(BufferError):  # an array still stands on it: its last user closes it
            leave(self, *arguments)

    return closed


class _Pace:
    """Hands requests to libcamera when they are due, on a thread of its own: what a sensor's clock does.

    A request that waits when its camera stops is never handed over, as one that a sensor has not filled.
    """

    def __init__(self, queue_request: Any, stop: Any) -> None:
        self._queue_request = queue_request
        self._stop = stop
        self._waiting: list[tuple[float, Any, Any]] = []
        self._due: dict[str, float] = {}
        self._changed = threading.Condition()
        threading.Thread(target=self._body, name="pace", daemon=True).start()

    def queue_request(self, camera: Any, request: Any) -> None:
        if camera.id in gone:
            raise RuntimeError("Failed to queue request: No such device")
        now = time.monotonic()
        with self._changed:
            due = self._due[camera.id] = max(self._due.get(camera.id, 0) + 1 / FPS, now)
            self._waiting.append((due, camera, request))
            self._changed.notify()

    def stop(self, camera: Any) -> None:
        with self._changed:
            self._waiting = [entry for entry in self._waiting if entry[1].id != camera.id]
            self._due.pop(camera.id, None)
            self._stop(camera)

    def _body(self) -> None:
        while True:
            with self._changed:
                self._changed.wait(self._hand_over(time.monotonic()))

    def _hand_over(self, now: float) -> float:
        """Hand over what is due, and say how long to wait. Nothing of it is held on to: a request holds its camera."""
        ready = [entry for entry in self._waiting if entry[0] <= now and entry[1].id not in stalled]
        self._waiting = [entry for entry in self._waiting if entry not in ready]
        for _, camera, request in ready:
            self._queue_request(camera, request)
        return min((entry[0] - now for entry in self._waiting if entry[0] > now), default=1 / FPS)

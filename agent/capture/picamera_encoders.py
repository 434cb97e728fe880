"""What the encodes of picamera2's two streams, `main` and `lores`, have in common; and those made here, in software."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from types import TracebackType
from typing import Any, Protocol, Self

from agent.capture.encoders import Encoders
from agent.config import CameraConfig
from agent.media.access_unit import AccessUnit, StreamName

STREAMS: dict[StreamName, str] = {"main": "main", "sub": "lores"}
"""picamera2's names of ours."""

_PIX_FMTS = {"YUV420": "yuv420p", "NV12": "nv12"}


class Wishes:
    """What other threads want of a camera that runs; its own thread reads it between two pictures."""

    def __init__(self, config: CameraConfig) -> None:
        self.bitrates: dict[StreamName, int] = {"main": config.bitrate_bps, "sub": config.sub_bitrate_bps}
        self.keyframes = set[StreamName]()
        self.sub = False

    def keyframe(self, stream: StreamName) -> bool:
        """Take the wish for a keyframe, if there is one."""
        wanted = stream in self.keyframes
        self.keyframes.discard(stream)
        return wanted


class Encodes(Protocol):
    """Both encodes of one run. Entered before the camera starts, used on the thread that runs picamera2's loop."""

    name: str
    has_sub: bool
    """Whether there is a second encode; known once it is entered."""
    wakes: list[int]
    """Descriptors that are readable when `units` has something although the camera is silent."""

    def __enter__(self) -> Self:
        """Be ready for the camera's first picture."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop the camera and give back its pictures."""

    def units(self, wishes: Wishes) -> Iterator[AccessUnit]:
        """Give what is ready, and do what is wished from then on. Errors: CaptureError."""


class Software:
    """Encodes each picture of the camera here, and its smaller one where that is wanted."""

    def __init__(self, camera: Any, config: CameraConfig) -> None:
        self.wakes: list[int] = []
        self._camera = camera
        self._encoders = Encoders(config)
        self.has_sub = self._encoders.has_sub
        self._latest: Any = None
        self._first_us: int | None = None
        self.name = self._encoders.codec

    def __enter__(self) -> Self:
        """Take the camera's pictures."""
        self._camera.post_callback = self._keep
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop the camera and give back the picture that waits."""
        self._camera.stop()
        self._camera.post_callback = None
        if self._latest is not None:
            self._latest.release()
            self._latest = None

    def units(self, wishes: Wishes) -> Iterator[AccessUnit]:
        """Encode the latest picture that the camera gave."""
        request, self._latest = self._latest, None
        if request is None:
            return
        for stream in STREAMS:
            self._encoders.set_bitrate(wishes.bitrates[stream], stream)
            if wishes.keyframe(stream):
                self._encoders.request_keyframe(stream)
        self._encoders.want_sub(wishes.sub)
        try:
            units = self._encoded(request)
        finally:
            request.release()
        yield from units

    def _keep(self, request: Any) -> None:
        # Called within process_requests, on our own thread: the one before it was not encoded, and never will be.
        request.acquire()
        if self._latest is not None:
            self._latest.release()
        self._latest = request

    def _encoded(self, request: Any) -> list[AccessUnit]:
        from libcamera import controls

        at_us = int(request.request.metadata[controls.SensorTimestamp]) // 1000
        self._first_us = at_us if self._first_us is None else self._first_us
        # The frames stand on the camera's memory, which is theirs only as long as the arrays are mapped.
        with ExitStack() as mapped:
            frame = self._frame(request, "main", mapped)
            small = self._frame(request, "lores", mapped) if self.has_sub else None
            units = list(self._encoders.encode(frame, at_us - self._first_us, small))
            del frame, small
        return units

    def _frame(self, request: Any, name: str, mapped: ExitStack) -> Any:
        import av
        from picamera2.request import MappedArray

        array = mapped.enter_context(MappedArray(request, name, write=False)).array
        stream = request.config[name]
        return av.VideoFrame.from_numpy_buffer(array, format=_PIX_FMTS[stream["format"]], width=stream["size"][0])

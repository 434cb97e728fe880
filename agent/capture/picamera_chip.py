"""picamera2's two streams, encoded by the chip of a Raspberry Pi up to the 4. Unproven until it runs on one."""

from __future__ import annotations

import contextlib
import logging
import os
import queue
from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from agent.capture import devices
from agent.capture.picamera_encoders import STREAMS, Wishes
from agent.capture.source import TemporaryCaptureError
from agent.config import CameraConfig
from agent.media.access_unit import AccessUnit, StreamName
from agent.media.annexb import Assembler, MalformedH264, nal_units

# Coded pictures between the chip's thread and ours: a second of two streams.
_BOUND = 60

_CHIP = Path("/dev/video11")  # picamera2 knows no other

log = logging.getLogger(__name__)


def chip_encoder() -> Any:
    """Give picamera2's encoder class for this board's chip; None where there is none."""
    from picamera2.encoders import H264Encoder
    from picamera2.encoders.v4l2_encoder import V4L2Encoder

    return H264Encoder if issubclass(H264Encoder, V4L2Encoder) and _CHIP.exists() else None


class Chips:
    """Has the board's chip encode, a context of it for each stream. `encoder_type` is picamera2's H264Encoder.

    The second context gets pictures only while they are wanted. It stays to the end: picamera2 takes half a second to
    end one, and the main stream would stand so long.
    Drop rule: when _BOUND coded pictures wait for our thread, a stream's next ones are dropped up to a keyframe.
    A chip that hangs holds up the end of `run`.
    """

    def __init__(self, camera: Any, config: CameraConfig, wishes: Wishes, encoder_type: Any) -> None:
        self.name = "the board's encoder"
        self.has_sub = False
        self.wakes: list[int] = []
        self._camera = camera
        self._config = config
        self._bitrates = dict(wishes.bitrates)
        self._encoder_type = encoder_type
        self._encoders: dict[StreamName, Any] = {}
        self._assemblers: dict[StreamName, Assembler] = {stream: Assembler() for stream in STREAMS}
        self._pictures: queue.Queue[tuple[StreamName, bytes, int]] = queue.Queue(_BOUND)
        self._first_us: int | None = None
        if config.overlay:
            log.warning("the overlay is left out: the board's encoder takes the camera's pictures as they are")

    def __enter__(self) -> Self:
        """Take the chip. Without a second context there is no second stream. Errors: TemporaryCaptureError."""
        self._wake = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self.wakes.append(self._wake)
        try:
            self._start("main")
        except OSError as error:
            os.close(self._wake)
            raise TemporaryCaptureError(
                f"{_CHIP}: the board's encoder cannot be used ({error.strerror}); `fuser -v {_CHIP}` says who has it"
            ) from error
        if self._config.sub_bitrate_bps:
            try:
                self._start("sub")
            except OSError as error:
                log.warning("%s: no second encode (%s), so none for weak viewers", _CHIP, error.strerror)
            else:
                self.has_sub = True
                self._camera.encoders.discard(self._encoders["sub"])
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop the camera, then the chip, which gives back the pictures that it holds."""
        self._camera.stop()
        for encoder in self._encoders.values():
            encoder.stop()
        self._camera.encoders.clear()
        os.close(self._wake)

    def units(self, wishes: Wishes) -> Iterator[AccessUnit]:
        """Give what the chip has coded."""
        self._follow_sub(wishes.sub)
        for stream, encoder in self._encoders.items():
            if wishes.keyframe(stream):
                encoder.force_key_frame()
            if wishes.bitrates[stream] != self._bitrates[stream]:
                self._bitrates[stream] = wishes.bitrates[stream]
                devices.set_control(encoder.vd.fileno(), devices.BITRATE, wishes.bitrates[stream])
        with contextlib.suppress(BlockingIOError):  # nothing new, or a picture whose write is yet to come
            os.eventfd_read(self._wake)
        while not self._pictures.empty():
            stream, picture, at_us = self._pictures.get_nowait()
            self._first_us = at_us if self._first_us is None else self._first_us
            try:
                unit = self._assemblers[stream].access_unit(nal_units(picture), at_us - self._first_us)
            except MalformedH264 as error:
                raise TemporaryCaptureError(f"the board's encoder gave damaged H.264 ({error})") from error
            if unit is not None:
                yield unit.of(stream)

    def _follow_sub(self, wanted: bool) -> None:
        encoder, fed = self._encoders.get("sub"), self._camera.encoders
        if encoder is None or wanted == (encoder in fed):
            return
        if wanted:
            encoder.force_key_frame()
            fed.add(encoder)
        else:
            fed.discard(encoder)

    def _start(self, stream: StreamName) -> None:
        encoder = self._encoder_type(
            bitrate=self._bitrates[stream],
            repeat=True,
            iperiod=max(1, round(self._config.keyframe_interval_s * self._config.fps)),
            framerate=self._config.fps,
            profile="constrained baseline",
        )
        output = _output(encoder, lambda picture, at_us: self._offer(stream, picture, at_us))
        try:
            self._camera.start_encoder(encoder, output, name=STREAMS[stream])
        except OSError:
            with contextlib.suppress(OSError, AttributeError):  # ends its thread, if it came so far
                encoder.stop()
            raise
        self._encoders[stream] = encoder

    def _offer(self, stream: StreamName, picture: bytes, at_us: int) -> bool:
        try:
            self._pictures.put_nowait((stream, picture, at_us))
        except queue.Full:
            return False
        os.eventfd_write(self._wake, 1)
        return True


def _output(encoder: Any, offer: Callable[[bytes, int], bool]) -> Any:
    """Make what picamera2 hands its coded pictures to, under a lock of its own: it never blocks."""
    from picamera2.outputs import Output

    class Handover(Output):  # type: ignore[misc]
        waits_for_keyframe = False

        def outputframe(
            self, frame: bytes, keyframe: bool = True, timestamp: int = 0, packet: Any = None, audio: bool = False
        ) -> None:
            if self.waits_for_keyframe and not keyframe:
                return
            # picamera2 counts from each encoder's first picture, and we from the camera's clock.
            self.waits_for_keyframe = not offer(bytes(frame), timestamp + encoder.firsttimestamp)
            if self.waits_for_keyframe:
                encoder.force_key_frame()

    return Handover()

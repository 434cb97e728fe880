"""A camera on the Raspberry Pi's own connector, through picamera2. Unproven until it runs on real boards.

Up to the Pi 4, picamera2's encoder drives the hardware one. A Pi 5 has none: its pictures are encoded here,
since picamera2's encoder for that case holds up the camera's loop and cannot make a keyframe on request.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from contextlib import closing
from typing import Any

from agent.capture import devices
from agent.capture.source import PermanentCaptureError, TemporaryCaptureError
from agent.config import CameraConfig
from agent.media.access_unit import AccessUnit, StreamName
from agent.media.annexb import Assembler, nal_units

# Pictures between picamera2's thread and ours: a second of them. When it is full they are dropped up to the
# next keyframe, because picamera2 holds a lock while it hands one over.
_BOUND = 30
_POLL_S = 0.25

_INSTALL = (
    "picamera2 is not installed: sudo apt install python3-picamera2, and make the environment with "
    "python3 -m venv --system-site-packages"
)


def cameras() -> list[str]:
    """Name the connected cameras as libcamera does. Errors: PermanentCaptureError without picamera2."""
    return [str(camera["Model"]) for camera in _picamera2().Picamera2.global_camera_info()]


class Picamera:
    """A Source of the first camera that libcamera knows."""

    def __init__(self, config: CameraConfig) -> None:
        """Import picamera2. Errors: PermanentCaptureError, where it is not installed or sees no camera."""
        if not cameras():
            raise PermanentCaptureError(
                "libcamera sees no camera: check the ribbon cable, then `rpicam-hello --list-cameras`"
            )
        self.has_sub = False
        self.name = f"picamera {config.width}x{config.height} at {config.fps} fps"
        self._config = config
        self._stopped = threading.Event()
        self._keyframe_wanted = False
        self._bitrate_bps = config.bitrate_bps

    def run(self, emit: Callable[[AccessUnit], None]) -> None:
        """Emit what the camera gives until stopped. Errors: TemporaryCaptureError where it is busy."""
        if self._stopped.is_set():
            return
        from picamera2.encoders import H264Encoder
        from picamera2.encoders.v4l2_encoder import V4L2Encoder

        try:
            camera = _picamera2().Picamera2()
        except RuntimeError as error:
            raise TemporaryCaptureError(
                f"the camera cannot be opened ({error.__cause__ or error}); another program may use it"
            ) from error
        with closing(camera):
            size = (self._config.width, self._config.height)
            camera.configure(
                camera.create_video_configuration(
                    main={"size": size, "format": "YUV420"}, controls={"FrameRate": self._config.fps}
                )
            )
            if issubclass(H264Encoder, V4L2Encoder):
                self._run_hardware(camera, H264Encoder, emit)
            else:
                self._run_software(camera, emit)

    def stop(self) -> None:
        """End `run` with the camera's next picture."""
        self._stopped.set()

    def request_keyframe(self, stream: StreamName = "main") -> None:  # there is but one
        """Make one of the next pictures a keyframe."""
        self._keyframe_wanted = True

    def set_bitrate(self, bitrate_bps: int, stream: StreamName = "main") -> None:
        """Aim at `bitrate_bps` from one of the next pictures on."""
        if stream == "main":
            self._bitrate_bps = bitrate_bps

    def want_sub(self, wanted: bool) -> None:
        """Nothing: there is one encode so far."""

    def _run_hardware(self, camera: Any, encoder_type: Any, emit: Callable[[AccessUnit], None]) -> None:
        interval = max(1, round(self._config.keyframe_interval_s * self._config.fps))
        bitrate_bps = self._bitrate_bps
        encoder = encoder_type(
            bitrate=bitrate_bps, repeat=True, iperiod=interval, framerate=self._config.fps, profile="baseline"
        )
        pictures: queue.Queue[tuple[bytes, int]] = queue.Queue(_BOUND)
        assembler = Assembler()
        camera.start_recording(encoder, _output(pictures, encoder))
        try:
            while not self._stopped.is_set():
                if self._keyframe_wanted:
                    self._keyframe_wanted = False
                    encoder.force_key_frame()
                if self._bitrate_bps != bitrate_bps:
                    bitrate_bps = self._bitrate_bps
                    devices.set_control(encoder.vd.fileno(), devices.BITRATE, bitrate_bps)
                try:
                    picture, pts_us = pictures.get(timeout=_POLL_S)
                except queue.Empty:
                    continue
                unit = assembler.access_unit(nal_units(picture), pts_us)
                if unit is not None:
                    emit(unit)
        finally:
            camera.stop_recording()

    def _run_software(self, camera: Any, emit: Callable[[AccessUnit], None]) -> None:
        import av
        from picamera2.request import MappedArray

        from agent.capture.encoder import Encoder

        encoder, first_us = Encoder(self._config), None
        camera.start()
        while not self._stopped.is_set():
            job = camera.capture_request(wait=False)
            while True:
                try:
                    request = camera.wait(job, timeout=_POLL_S)
                    break
                except TimeoutError:
                    if self._stopped.is_set():
                        return
            try:
                at_us = int(request.get_metadata()["SensorTimestamp"]) // 1000
                first_us = at_us if first_us is None else first_us
                encoder.set_bitrate(self._bitrate_bps)
                if self._keyframe_wanted:
                    self._keyframe_wanted = False
                    encoder.request_keyframe()
                with MappedArray(request, "main") as mapped:
                    frame = av.VideoFrame.from_numpy_buffer(mapped.array, format="yuv420p", width=self._config.width)
                    units = list(encoder.encode(frame, at_us - first_us))
                    del frame  # it stands on the mapped memory
            finally:
                request.release()
            for unit in units:
                emit(unit)


def _picamera2() -> Any:
    try:
        import picamera2
    except ImportError as error:
        raise PermanentCaptureError(_INSTALL) from error
    return picamera2


def _output(pictures: queue.Queue[tuple[bytes, int]], encoder: Any) -> Any:
    """Make what picamera2 hands its encoded pictures to: it never blocks."""
    from picamera2.outputs import Output

    class Handover(Output):  # type: ignore[misc]
        waits_for_keyframe = False

        def outputframe(
            self, frame: bytes, keyframe: bool = True, timestamp: int = 0, packet: Any = None, audio: bool = False
        ) -> None:
            if self.waits_for_keyframe and not keyframe:
                return
            try:
                pictures.put_nowait((bytes(frame), timestamp))
                self.waits_for_keyframe = False
            except queue.Full:
                self.waits_for_keyframe = True
                encoder.force_key_frame()

    return Handover()

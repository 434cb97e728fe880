"""A camera at /dev/videoN, through FFmpeg's V4L2 input. Unproven until the tests on real drivers run it."""

from __future__ import annotations

import errno
import logging
import threading
import time
from collections.abc import Callable
from pathlib import Path

import av
from av.container import InputContainer

from agent.capture import devices
from agent.capture.encoders import Encoders
from agent.capture.source import CaptureError, PermanentCaptureError, TemporaryCaptureError
from agent.config import CameraConfig
from agent.media.access_unit import AccessUnit, StreamName
from agent.media.annexb import Assembler, MalformedH264, nal_units

log = logging.getLogger(__name__)

_PERMANENT = {
    errno.EACCES: "this user may not open it; add it to the group video (usermod -aG video USER)",
    errno.EPERM: "this user may not open it; add it to the group video (usermod -aG video USER)",
    errno.ENOTTY: "this is no camera; `v4l2-ctl --list-devices` names those that are",
    errno.EINVAL: "it gives no picture of the wanted size and rate; `v4l2-ctl --list-formats-ext` names those it has",
}
_TEMPORARY = {
    errno.ENOENT: "no such device; plug the camera in, or set camera.source",
    errno.ENXIO: "the camera is gone; plug it in again",
    errno.ENODEV: "the camera is gone; plug it in again",
    errno.EBUSY: "another program uses the camera; `fuser -v` on it says which",
}


def open_camera(device: Path, config: CameraConfig) -> InputContainer:
    """Open a camera as FFmpeg's input: H.264 where it has it, else MJPEG, else raw. Errors: OSError, FFmpegError."""
    offered = devices.formats(device)
    options = {"video_size": f"{config.width}x{config.height}", "framerate": str(config.fps)}
    for fourcc, name in (("H264", "h264"), ("MJPG", "mjpeg")):
        if fourcc in offered:
            options["input_format"] = name
            break
    return av.open(str(device), format="v4l2", options=options)


class V4l2:
    """A Source of a V4L2 camera. Its H.264 goes out as it is; MJPEG and raw pictures are encoded here.

    A camera's own H.264 has a keyframe and a bitrate on request only if its driver has those controls.
    `open_input` is where the pictures come from; tests put a file there.
    """

    def __init__(
        self,
        config: CameraConfig,
        device: Path,
        *,
        open_input: Callable[[Path, CameraConfig], InputContainer] = open_camera,
    ) -> None:
        self.name = f"v4l2 {device} {config.width}x{config.height} at {config.fps} fps"
        self._config = config
        self._device = device
        self._open_input = open_input
        self._stopped = threading.Event()
        self._encoders = Encoders(config, codecs=("h264_v4l2m2m", "libx264"))
        self.has_sub = self._encoders.has_sub
        self._keyframe_wanted = False
        self._bitrate_bps: int | None = None

    def run(self, emit: Callable[[AccessUnit], None]) -> None:
        """Emit what the camera gives until stopped. Errors: CaptureError.

        A driver that hangs in the middle of a read holds up the end of `run`.
        """
        if self._stopped.is_set():
            return
        try:
            with self._open_input(self._device, self._config) as container:
                if container.streams.video[0].codec_context.name == "h264":
                    self._pass_through(container, emit)
                else:
                    self._encode(container, emit)
        except (OSError, av.FFmpegError) as error:
            raise capture_error(self._device, error) from error
        except MalformedH264 as error:
            raise TemporaryCaptureError(f"{self._device}: the camera's H.264 is damaged ({error})") from error
        if not self._stopped.is_set():
            raise TemporaryCaptureError(f"{self._device}: the camera gives no more pictures; plug it in again")

    def stop(self) -> None:
        """End `run` with the camera's next picture."""
        self._stopped.set()

    def request_keyframe(self, stream: StreamName = "main") -> None:
        """Want a keyframe, from the encoder or from the camera."""
        self._keyframe_wanted = self._keyframe_wanted or stream == "main"
        self._encoders.request_keyframe(stream)

    def set_bitrate(self, bitrate_bps: int, stream: StreamName = "main") -> None:
        """Aim at `bitrate_bps`, in the encoder or in the camera."""
        if stream == "main":
            self._bitrate_bps = bitrate_bps
        self._encoders.set_bitrate(bitrate_bps, stream)

    def want_sub(self, wanted: bool) -> None:
        """Encode a smaller picture too, or no more, where pictures are encoded here."""
        self._encoders.want_sub(wanted)

    def _pass_through(self, container: InputContainer, emit: Callable[[AccessUnit], None]) -> None:
        self.name, self.has_sub = f"{self.name}, its own H.264", False
        clock, assembler = _Clock(), Assembler()
        for packet in container.demux(video=0):
            if self._stopped.is_set():
                return
            self._set_controls()
            if packet.size:
                unit = assembler.access_unit(nal_units(bytes(packet)), clock.pts_us(packet))
                if unit is not None:
                    emit(unit)

    def _encode(self, container: InputContainer, emit: Callable[[AccessUnit], None]) -> None:
        clock, own_name = _Clock(), f"{self.name}, {container.streams.video[0].codec_context.name}"
        for packet in container.demux(container.streams.video[0]):
            if self._stopped.is_set():
                return
            try:
                frames = packet.decode()
            except av.InvalidDataError:
                continue  # USB cameras cut pictures short when they start, and now and then later
            for frame in frames:
                for unit in self._encoders.encode(frame.reformat(format="yuv420p"), clock.pts_us(frame)):
                    emit(unit)
                self.name = f"{own_name} to {self._encoders.codec}"

    def _set_controls(self) -> None:
        wanted = []
        if self._keyframe_wanted:
            self._keyframe_wanted = False
            wanted.append((devices.FORCE_KEYFRAME, 1))
        if self._bitrate_bps is not None:
            wanted.append((devices.BITRATE, self._bitrate_bps))
            self._bitrate_bps = None
        for control, value in wanted:
            try:
                with devices.opened(self._device) as descriptor:
                    devices.set_control(descriptor, control, value)
            except OSError as error:
                log.debug("%s: control %#x cannot be set: %s", self._device, control, error)


class _Clock:
    """Microseconds since the first picture, by the driver's timestamps, or by ours where it gives none."""

    def __init__(self) -> None:
        self._first_us: int | None = None

    def pts_us(self, picture: av.Packet[av.VideoStream] | av.VideoFrame) -> int:
        if picture.pts is None or picture.time_base is None:
            at_us = time.monotonic_ns() // 1000
        else:
            at_us = int(picture.pts * picture.time_base * 1_000_000)
        if self._first_us is None:
            self._first_us = at_us
        return at_us - self._first_us


def capture_error(device: Path, error: OSError | av.FFmpegError) -> CaptureError:
    """Say in one line what an error at the device means and what to do."""
    code = error.errno or 0
    if code in _PERMANENT:
        return PermanentCaptureError(f"{device}: {_PERMANENT[code]}")
    return TemporaryCaptureError(f"{device}: {_TEMPORARY.get(code, error.strerror or str(error))}")

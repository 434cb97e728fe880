"""A camera at /dev/videoN, straight from its driver."""

from __future__ import annotations

import errno
import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Protocol

import av

from agent.capture import devices, modes
from agent.capture.clock import Clock
from agent.capture.decode import Decoder
from agent.capture.encoder import HARDWARE_FIRST
from agent.capture.encoders import Encoders
from agent.capture.reader import Taken, reading
from agent.capture.source import CaptureError, PermanentCaptureError, TemporaryCaptureError
from agent.config import CameraConfig
from agent.media.access_unit import AccessUnit, StreamName
from agent.media.annexb import Assembler, MalformedH264, nal_units

log = logging.getLogger(__name__)

_PERMANENT = {
    errno.EACCES: "this user may not open it; add it to the group video (usermod -aG video USER)",
    errno.EPERM: "this user may not open it; add it to the group video (usermod -aG video USER)",
    errno.ENOTTY: "this is no camera; `v4l2-ctl --list-devices` names those that are",
    errno.EINVAL: "it takes none of the formats that it lists; `v4l2-ctl --list-formats-ext` names them",
}
_TEMPORARY = {
    errno.ENOENT: "no such device; plug the camera in, or set camera.source",
    errno.ENXIO: "the camera is gone; plug it in again",
    errno.ENODEV: "the camera is gone; plug it in again",
    errno.EBUSY: "another program uses the camera; `fuser -v` on it says which",
    errno.ENOSPC: "its USB bus has no room for so many pictures; give it one of its own, or set a smaller camera.width",
}
_FRUITLESS = "of the camera's pictures none can be shown; plug it in again"

SILENT_S = 5.0
"""A camera that gives no picture for so long is given up: some take two seconds to the first one, none so many."""

FRUITLESS_S = 8.0
"""So long pictures may come of which nothing can be shown: all cut short, or H.264 that begins with no keyframe.

Less than what the watchdog grants a camera that streams.
"""

KEYFRAME_S = 20.0
"""So long the H.264 of a camera that offers nothing else may begin with no keyframe, as in rtsp.py.

Less than what the watchdog grants a camera that starts.
"""


class Pictures(Protocol):
    """An open camera: agent.capture.reader.Reader."""

    chosen: modes.Chosen
    stride: int

    def pictures(self, stopped: Callable[[], bool], silent_s: float) -> Iterator[Taken]:
        """Give each picture until `stopped`. Errors: OSError, TimeoutError."""

    def set_control(self, control: int, value: int) -> None:
        """Set one of the camera's controls. Errors: OSError."""


def mode(device: Path, config: CameraConfig, *, h264_last: bool = False) -> modes.Chosen:
    """Say in which mode a camera is taken, which asks its driver. Errors: OSError, PermanentCaptureError."""
    offered = devices.modes(device, config.width, config.height, config.fps)
    chosen = modes.choose(offered, config.width, config.height, config.fps, h264_last=h264_last)
    if chosen is None:
        names = ", ".join(sorted({mode.fourcc for mode in offered})) or "nothing"
        raise PermanentCaptureError(f"{device}: the camera offers {names}, none of which is understood here")
    return chosen


def open_camera(device: Path, config: CameraConfig, h264_last: bool) -> AbstractContextManager[Pictures]:
    """Open a camera in the mode that costs least. Errors: OSError, PermanentCaptureError."""
    return reading(device, mode(device, config, h264_last=h264_last))


class V4l2:
    """A Source of a V4L2 camera. Its H.264 goes out as it is; MJPEG and raw pictures are encoded here.

    A camera's own H.264 has a keyframe and a bitrate on request only if its driver has those controls. One that began
    with no keyframe is kept in mind in `keyframeless`: the next run takes what else the camera offers.
    `open_pictures` is where the pictures come from; tests put a file there.
    """

    def __init__(
        self,
        config: CameraConfig,
        device: Path,
        *,
        keyframeless: set[Path] | None = None,
        open_pictures: Callable[[Path, CameraConfig, bool], AbstractContextManager[Pictures]] = open_camera,
        silent_s: float = SILENT_S,
    ) -> None:
        # Viewers are told this: a name below /dev/v4l/by-id has the camera's serial number in it.
        self._node = node if (node := device.resolve().name).startswith("video") else "camera"
        self.name = f"v4l2 {self._node} {config.width}x{config.height} at {config.fps} fps"
        self._config = config
        self._device = device
        self._keyframeless = set() if keyframeless is None else keyframeless
        self._open_pictures = open_pictures
        self._silent_s = silent_s
        self._stopped = threading.Event()
        self._encoders = Encoders(config, codecs=HARDWARE_FIRST)
        self.has_sub = self._encoders.has_sub
        self._keyframe_wanted = False
        self._bitrate_bps: int | None = None
        self._shown_at = 0.0

    def run(self, emit: Callable[[AccessUnit], None]) -> None:
        """Emit what the camera gives until stopped. Errors: CaptureError."""
        if self._stopped.is_set():
            return
        try:
            with self._open_pictures(self._device, self._config, self._device in self._keyframeless) as camera:
                chosen = camera.chosen
                self.name = f"v4l2 {self._node} {chosen.width}x{chosen.height} at {chosen.fps:.4g} fps"
                log.info("%s: %s", self._device, chosen.why)
                if modes.kind_of(chosen.fourcc) == "h264":
                    self._pass_through(camera, emit)
                else:
                    self._encode(camera, emit)
        except (OSError, av.FFmpegError) as error:
            raise capture_error(self._device, error) from error
        except MalformedH264 as error:
            raise TemporaryCaptureError(f"{self._device}: the camera's H.264 is damaged ({error})") from error
        if not self._stopped.is_set():
            raise TemporaryCaptureError(f"{self._device}: the camera gives no more pictures; plug it in again")

    def mode(self) -> modes.Chosen:
        """Say in which mode `run` would take the camera, which asks its driver. Errors: CaptureError."""
        try:
            return mode(self._device, self._config, h264_last=self._device in self._keyframeless)
        except OSError as error:
            raise capture_error(self._device, error) from error

    def stop(self) -> None:
        """End `run` with the camera's next picture, or a fifth of a second later where none comes."""
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

    def _pass_through(self, camera: Pictures, emit: Callable[[AccessUnit], None]) -> None:
        self.name, self.has_sub = f"{self.name}, its own H.264", False
        if self._config.overlay:
            log.warning("%s: the overlay is left out: the camera encodes its pictures itself", self._device)
        clock, assembler = Clock(), Assembler()
        for data, at_us in self._fruitful(camera):
            self._set_controls(camera)
            unit = assembler.access_unit(nal_units(bytes(data)), clock.at_us(at_us or None))
            if unit is not None:
                self._shown_at = time.monotonic()
                emit(unit)

    def _encode(self, camera: Pictures, emit: Callable[[AccessUnit], None]) -> None:
        clock, decoder = Clock(), Decoder(camera.chosen, camera.stride)
        own_name = f"{self.name}, {camera.chosen.fourcc}"
        for data, at_us in self._fruitful(camera):
            for frame in decoder.frames(data):
                for unit in self._encoders.encode(frame, clock.at_us(at_us or None)):
                    self._shown_at = time.monotonic()
                    self.name = f"{own_name} to {self._encoders.codec}"  # whoever gets the first picture asks for it
                    emit(unit)

    def _fruitful(self, camera: Pictures) -> Iterator[Taken]:
        """Give each picture, as long as some of them can be shown."""
        h264 = modes.kind_of(camera.chosen.fourcc) == "h264"
        within_s = KEYFRAME_S if h264 and self._device in self._keyframeless else FRUITLESS_S
        self._shown_at = time.monotonic()
        for taken in camera.pictures(self._stopped.is_set, self._silent_s):
            yield taken
            if time.monotonic() - self._shown_at > within_s:
                raise TemporaryCaptureError(f"{self._device}: {self._fruitless(within_s) if h264 else _FRUITLESS}")

    def _fruitless(self, within_s: float) -> str:
        """Keep in mind that the camera's H.264 led to nothing, and say so."""
        then = (
            "it offers nothing else"
            if self._device in self._keyframeless
            else "what else it offers goes first from now on"
        )
        self._keyframeless.add(self._device)
        return f"the camera's own H.264 began with no keyframe for {within_s:g} s; {then}"

    def _set_controls(self, camera: Pictures) -> None:
        wanted = []
        if self._keyframe_wanted:
            self._keyframe_wanted = False
            wanted.append((devices.FORCE_KEYFRAME, 1))
        if self._bitrate_bps is not None:
            wanted.append((devices.BITRATE, self._bitrate_bps))
            self._bitrate_bps = None
        for control, value in wanted:
            try:
                camera.set_control(control, value)
            except OSError as error:
                log.debug("%s: control %#x cannot be set: %s", self._device, control, error)


def capture_error(device: Path, error: OSError | av.FFmpegError) -> CaptureError:
    """Say in one line what an error at the device means and what to do."""
    code = error.errno or 0
    if code in _PERMANENT:
        return PermanentCaptureError(f"{device}: {_PERMANENT[code]}")
    return TemporaryCaptureError(f"{device}: {_TEMPORARY.get(code, error.strerror or str(error))}")

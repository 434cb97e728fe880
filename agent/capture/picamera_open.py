"""Which of libcamera's cameras, and how it is opened and configured. What picamera2 refuses is said in our words."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import Any

from agent.capture import camera_controls, sensor_modes
from agent.capture.source import PermanentCaptureError, TemporaryCaptureError
from agent.config import CameraConfig

_INSTALL = (
    "picamera2 is not installed: sudo apt install python3-picamera2, and make the environment with "
    "python3 -m venv --system-site-packages"
)
_LIST = "`rpicam-hello --list-cameras` names those that are"

# One being filled, two on their way there, one in the encoder's hands: each is megabytes of a small board's memory.
_BUFFERS = 4

_modes: dict[str, list[sensor_modes.Mode]] = {}
"""Of each camera by its Id: asking takes as many configurations as there are modes, and the answer stays the same."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """A camera that libcamera sees: `number` is picamera2's, `id` libcamera's, `model` the sensor's."""

    number: int
    id: str
    model: str

    def __str__(self) -> str:
        """Name it as messages do."""
        return f"{self.model} ({self.id})"


def cameras() -> list[Found]:
    """List the cameras in picamera2's order. Errors: PermanentCaptureError without picamera2."""
    try:
        from picamera2 import Picamera2
    except ImportError as error:
        raise PermanentCaptureError(_INSTALL) from error
    return [
        Found(number=number, id=str(camera["Id"]), model=str(camera.get("Model", "camera")))
        for number, camera in enumerate(Picamera2.global_camera_info())
    ]


def chosen(wanted: str) -> Found:
    """Find the camera that the configuration names. Errors: CaptureError."""
    return choice(wanted, cameras())


def choice(wanted: str, found: Sequence[Found]) -> Found:
    """Take the camera with this Id, else sensor, else number; "" takes the first. Errors: CaptureError."""
    if not found:
        raise TemporaryCaptureError(f"libcamera sees no camera: check the ribbon cable; {_LIST}")
    if not wanted:
        return found[0]
    for fits in (
        [camera for camera in found if camera.id == wanted],
        [camera for camera in found if camera.model.casefold() == wanted.casefold()],
        [camera for camera in found if str(camera.number) == wanted],
    ):
        if len(fits) > 1:
            names = ", ".join(camera.id for camera in fits)
            raise PermanentCaptureError(
                f"several cameras are {wanted}: set camera.source to picamera: and one of {names}"
            )
        if fits:
            return fits[0]
    there = ", ".join(map(str, found))
    raise TemporaryCaptureError(f"libcamera sees no camera {wanted}, but {there}; plug it in, or set camera.source")


@contextmanager
def opened(found: Found, config: CameraConfig) -> Iterator[Any]:
    """Open and configure a camera; picamera2's object, closed afterwards. Errors: CaptureError."""
    from picamera2 import Picamera2

    _refuse_if_busy(found)
    try:
        camera = Picamera2(found.number)
    except (RuntimeError, IndexError) as error:
        raise TemporaryCaptureError(f"{found} cannot be opened ({error.__cause__ or error}); {_LIST}") from error
    with closing(camera):
        _configure(camera, found, config)
        yield camera


def _refuse_if_busy(found: Found) -> None:
    """Ask libcamera itself first: a Picamera2 that cannot be made leaves a descriptor open."""
    import libcamera

    try:
        camera = libcamera.CameraManager.singleton().get(found.id)
    except RuntimeError:
        camera = None
    if camera is None:
        raise TemporaryCaptureError(f"{found} is gone: check its cable; {_LIST}")
    try:
        camera.acquire()
    except RuntimeError as error:
        raise TemporaryCaptureError(
            f"{found} is busy: another program uses it, and `fuser -v /dev/media* /dev/video*` says which"
        ) from error
    camera.release()


def _configure(camera: Any, found: Found, config: CameraConfig) -> None:
    import libcamera

    # Chroma is halved, so both sides of the smaller picture stay even.
    small = (max(2, side // config.sub_scale // 2 * 2) for side in (config.width, config.height))
    configuration = camera.create_video_configuration(
        main={"size": (config.width, config.height), "format": "YUV420"},
        lores={"size": tuple(small), "format": "YUV420"} if config.sub_bitrate_bps else None,
        raw=None,
        sensor=_sensor(camera, found, config),
        transform=libcamera.Transform(hflip=config.hflip, vflip=config.vflip),
        buffer_count=_BUFFERS,
        queue=False,
        display=None,
    )
    try:
        camera.configure(configuration)
    except RuntimeError as error:
        raise PermanentCaptureError(
            f"{found} takes no {config.width}x{config.height}: set other camera.width and height ({error})"
        ) from error
    size = camera.camera_config["main"]["size"]
    if size != (config.width, config.height):
        raise PermanentCaptureError(
            f"{found} takes no {config.width}x{config.height}, but {size[0]}x{size[1]}: set camera.width and height"
        )
    try:
        camera.set_controls(camera_controls.at_start(config, camera.camera_controls))
    except camera_controls.UnfitControl as error:
        raise PermanentCaptureError(f"{found}: {error}") from error


def _sensor(camera: Any, found: Found, config: CameraConfig) -> dict[str, Any] | None:
    """Choose the sensor's mode, as picamera2 takes it; None for a camera that has none to choose from."""
    if "ColorFilterArrangement" not in camera.camera_properties:  # picamera2's own sign for a Raspberry Pi's camera
        return None
    if found.id not in _modes:
        _modes[found.id] = sensor_modes.modes(camera.sensor_modes)
    mode = sensor_modes.best(_modes[found.id], config.width, config.height, config.fps)
    return None if mode is None else {"output_size": (mode.width, mode.height), "bit_depth": mode.bit_depth}

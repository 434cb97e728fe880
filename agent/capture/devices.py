"""What /dev/videoN is and can do, asked from the kernel (linux/videodev2.h), without FFmpeg."""

from __future__ import annotations

import errno
import fcntl
import os
import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from agent.capture.modes import Mode, nearest

_CAPABILITY = struct.Struct("=16s32s32sIII12x")
_FORMAT = struct.Struct("=III32sII12x")
_CONTROL = struct.Struct("=Ii")
_SIZE = struct.Struct("=III6I8x")
_INTERVAL = struct.Struct("=IIIII6I8x")

_QUERYCAP = 0x80685600
_ENUM_FMT = 0xC0405602
_ENUM_SIZES = 0xC02C564A
_ENUM_INTERVALS = 0xC034564B
_S_CTRL = 0xC008561C

_DISCRETE = 1
_MOST_ENTRIES = 256  # of one list: a driver that never says "no more" is not asked for ever

_VIDEO_CAPTURE = 0x00000001
_M2M = 0x00008000 | 0x00004000
_MEDIA_CONTROLLER = 0x20000000
_HAS_DEVICE_CAPS = 0x80000000

# Capture nodes in a Pi's camera pipeline that give nothing by themselves: libcamera drives them.
_PIPELINE_DRIVERS = {"unicam", "bcm2835-isp", "rp1-cfe", "pispbe"}

BITRATE = 0x009909CF
"""V4L2_CID_MPEG_VIDEO_BITRATE"""
FORCE_KEYFRAME = 0x009909E5
"""V4L2_CID_MPEG_VIDEO_FORCE_KEY_FRAME"""


def cameras(directory: Path = Path("/dev")) -> list[Path]:
    """List the video devices that give pictures by themselves, lowest number first."""
    devices = sorted(directory.glob("video[0-9]*"), key=lambda path: (len(path.name), path.name))
    return [device for device in devices if _gives_pictures(device)]


def formats(device: Path) -> set[str]:
    """Name the pixel formats of a camera as four characters, "H264", "MJPG". Errors: OSError."""
    with opened(device) as descriptor:
        return set(_formats(descriptor))


def modes(device: Path, width: int, height: int, fps: float) -> list[Mode]:
    """List what a camera offers; of a range of sizes or rates the nearest to the wanted. Errors: OSError."""
    with opened(device) as descriptor:
        return [
            Mode(fourcc, *size, tuple(_rates(descriptor, fourcc, *size, fps)))
            for fourcc in _formats(descriptor)
            for size in _sizes(descriptor, fourcc, width, height)
        ]


def _formats(descriptor: int) -> Iterator[str]:
    for question in _answers(descriptor, _ENUM_FMT, lambda index: _FORMAT.pack(index, 1, 0, b"", 0, 0)):
        yield _FORMAT.unpack(question)[4].to_bytes(4, "little").decode("latin-1")


def _sizes(descriptor: int, fourcc: str, width: int, height: int) -> Iterator[tuple[int, int]]:
    """Give each size; the wanted one where the driver lists none and takes or changes what it is asked for."""
    none = True
    for answer in _answers(descriptor, _ENUM_SIZES, lambda index: _SIZE.pack(index, _code(fourcc), 0, *[0] * 6)):
        none = False
        _, _, kind, first, second, *rest = _SIZE.unpack(answer)
        if kind == _DISCRETE:
            yield first, second
        else:  # least, most and step of the width, then of the height
            most_high, step_high = rest[2:]
            yield (
                int(nearest(first, second, rest[0], width)),
                int(nearest(rest[1], most_high, step_high, height)),
            )
    if none:
        yield width, height


def _rates(descriptor: int, fourcc: str, width: int, height: int, fps: float) -> Iterator[float]:
    def question(index: int) -> bytes:
        return _INTERVAL.pack(index, _code(fourcc), width, height, 0, *[0] * 6)

    for answer in _answers(descriptor, _ENUM_INTERVALS, question):
        _, _, _, _, kind, *numbers = _INTERVAL.unpack(answer)
        shortest, longest = numbers[0:2], numbers[2:4]
        if kind == _DISCRETE:
            longest = shortest
        if all((*shortest, *longest)):
            yield nearest(longest[1] / longest[0], shortest[1] / shortest[0], 0, fps)


def _answers(descriptor: int, request: int, question: Callable[[int], bytes]) -> Iterator[bytes]:
    """Ask for one entry of a list after the other, until there is no more."""
    for index in range(_MOST_ENTRIES):
        answer = bytearray(question(index))
        try:
            fcntl.ioctl(descriptor, request, answer)
        except OSError as error:
            # Beyond the last one; or a driver without this list.
            if error.errno == errno.EINVAL or (error.errno == errno.ENOTTY and request != _ENUM_FMT):
                return
            raise
        yield bytes(answer)


def _code(fourcc: str) -> int:
    return int.from_bytes(fourcc.encode("latin-1"), "little")


def set_control(descriptor: int, control: int, value: int) -> None:
    """Set a control of an open device. Errors: OSError, where it has none of that kind."""
    fcntl.ioctl(descriptor, _S_CTRL, bytearray(_CONTROL.pack(control, value)))


@contextmanager
def opened(device: Path) -> Iterator[int]:
    """Open a device for questions and controls; what streams from it elsewhere is not disturbed."""
    descriptor = os.open(device, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def is_camera(capability: bytes) -> bool:
    """Say of a struct v4l2_capability whether its device gives pictures by itself: no codec, no pipeline node."""
    driver, _card, _bus, _version, whole, node = _CAPABILITY.unpack(capability)
    able = node if whole & _HAS_DEVICE_CAPS else whole
    if able & (_M2M | _MEDIA_CONTROLLER) or driver.rstrip(b"\0").decode("latin-1") in _PIPELINE_DRIVERS:
        return False
    return bool(able & _VIDEO_CAPTURE)


def _gives_pictures(device: Path) -> bool:
    answer = bytearray(_CAPABILITY.size)
    try:
        with opened(device) as descriptor:
            fcntl.ioctl(descriptor, _QUERYCAP, answer)
    except OSError:
        return False
    return is_camera(bytes(answer))

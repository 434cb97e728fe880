"""What /dev/videoN is and can do, asked from the kernel (linux/videodev2.h), without FFmpeg."""

from __future__ import annotations

import errno
import fcntl
import os
import struct
from collections.abc import Callable, Container, Iterator
from contextlib import contextmanager
from pathlib import Path

from agent.capture.modes import Mode, nearest

CAPABILITY = struct.Struct("=16s32s32sIII12x")
FORMAT = struct.Struct("=III32sII12x")
_CONTROL = struct.Struct("=Ii")
SIZE = struct.Struct("=III6I8x")
_INTERVAL = struct.Struct("=IIIII6I8x")

QUERYCAP = 0x80685600
ENUM_FMT = 0xC0405602
ENUM_FRAMESIZES = 0xC02C564A
_ENUM_INTERVALS = 0xC034564B
_S_CTRL = 0xC008561C

DISCRETE = 1
_NO_MORE = frozenset({errno.EINVAL, errno.ENOTTY})  # beyond the last entry; or a driver without this list
_MOST_ENTRIES = 256  # of one list: a driver that never says "no more" is not asked for ever

_VIDEO_CAPTURE = 0x00000001
M2M = 0x00008000 | 0x00004000
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
    return [node for node in nodes(directory) if _gives_pictures(node)]


def nodes(directory: Path = Path("/dev")) -> list[Path]:
    """List all video devices, lowest number first."""
    return sorted(directory.glob("video[0-9]*"), key=lambda path: (len(path.name), path.name))


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
    for answer in answers(descriptor, ENUM_FMT, lambda index: FORMAT.pack(index, 1, 0, b"", 0, 0), ends={errno.EINVAL}):
        yield FORMAT.unpack(answer)[4].to_bytes(4, "little").decode("latin-1")


def _sizes(descriptor: int, fourcc: str, width: int, height: int) -> Iterator[tuple[int, int]]:
    """Give each size; the wanted one where the driver lists none and takes or changes what it is asked for."""
    none = True
    for answer in answers(descriptor, ENUM_FRAMESIZES, lambda index: SIZE.pack(index, _code(fourcc), 0, *[0] * 6)):
        none = False
        _, _, kind, first, second, *rest = SIZE.unpack(answer)
        if kind == DISCRETE:
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

    for answer in answers(descriptor, _ENUM_INTERVALS, question):
        _, _, _, _, kind, *numbers = _INTERVAL.unpack(answer)
        shortest, longest = numbers[0:2], numbers[2:4]
        if kind == DISCRETE:
            longest = shortest
        if all((*shortest, *longest)):
            yield nearest(longest[1] / longest[0], shortest[1] / shortest[0], 0, fps)


def answers(
    descriptor: int, request: int, question: Callable[[int], bytes], *, ends: Container[int | None] = _NO_MORE
) -> Iterator[bytes]:
    """Ask for one entry of a list after the other, until the driver says one of `ends`. Errors: OSError."""
    for index in range(_MOST_ENTRIES):
        answer = bytearray(question(index))
        try:
            fcntl.ioctl(descriptor, request, answer)
        except OSError as error:
            if error.errno in ends:
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
    able, driver = able_to(capability), CAPABILITY.unpack(capability)[0]
    if able & (M2M | _MEDIA_CONTROLLER) or driver.rstrip(b"\0").decode("latin-1") in _PIPELINE_DRIVERS:
        return False
    return bool(able & _VIDEO_CAPTURE)


def able_to(capability: bytes) -> int:
    """Give the V4L2_CAP bits of a struct v4l2_capability: the node's own, where its driver tells those apart."""
    *_, whole, node = CAPABILITY.unpack(capability)
    return int(node if whole & _HAS_DEVICE_CAPS else whole)


def _gives_pictures(device: Path) -> bool:
    answer = bytearray(CAPABILITY.size)
    try:
        with opened(device) as descriptor:
            fcntl.ioctl(descriptor, QUERYCAP, answer)
    except OSError:
        return False
    return is_camera(bytes(answer))

"""What /dev/videoN is and can do, asked from the kernel (linux/videodev2.h), without FFmpeg."""

from __future__ import annotations

import errno
import fcntl
import os
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_CAPABILITY = struct.Struct("=16s32s32sIII12x")
_FORMAT = struct.Struct("=III32sII12x")
_CONTROL = struct.Struct("=Ii")

_QUERYCAP = 0x80685600
_ENUM_FMT = 0xC0405602
_S_CTRL = 0xC008561C

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
    found: set[str] = set()
    with opened(device) as descriptor:
        while True:
            question = bytearray(_FORMAT.pack(len(found), 1, 0, b"", 0, 0))
            try:
                fcntl.ioctl(descriptor, _ENUM_FMT, question)
            except OSError as error:
                if error.errno == errno.EINVAL:  # the index is beyond the last one
                    return found
                raise
            found.add(_FORMAT.unpack(question)[4].to_bytes(4, "little").decode("latin-1"))


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

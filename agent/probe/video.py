"""The nodes /dev/videoN, asked from the kernel (linux/videodev2.h): what drives each, what it is, what it gives."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from agent.capture import devices
from agent.probe.facts import Format, Role, VideoNode

CAPABILITY: Final = struct.Struct("=16s32s32sIII12x")
FORMAT: Final = struct.Struct("=III32sII12x")
SIZE: Final = struct.Struct("=III6I8x")
QUERYCAP: Final = 0x80685600
ENUM_FMT: Final = 0xC0405602
ENUM_FRAMESIZES: Final = 0xC02C564A

_CAPTURE, _CAPTURE_MPLANE = 1, 9  # enum v4l2_buf_type
_DISCRETE: Final = 1
_M2M: Final = 0x00008000 | 0x00004000
_HAS_DEVICE_CAPS: Final = 0x80000000
_BIG_ENDIAN: Final = 1 << 31
_BOUND: Final = 256  # a driver that never comes to the end of its list is left there


def nodes(directory: Path = Path("/dev")) -> tuple[VideoNode, ...]:
    """Describe every video node, lowest number first."""
    paths, users = directory.glob("video[0-9]*"), programs(f"{directory}/video")
    return tuple(
        _node(path, tuple(users.get(str(path), ())))
        for path in sorted(paths, key=lambda path: (len(path.name), path.name))
    )


def programs(prefix: str, proc: Path = Path("/proc")) -> dict[str, list[str]]:
    """Name the programs that have a file open whose path begins with `prefix`, by path: "ffmpeg (4711)"."""
    found: dict[str, list[str]] = {}
    for descriptor in proc.glob("[0-9]*/fd/*"):
        with contextlib.suppress(OSError):  # another user's, or just closed
            path, process = str(descriptor.readlink()), descriptor.parents[1]
            if path.startswith(prefix):
                users, user = found.setdefault(path, []), f"{(process / 'comm').read_text().strip()} ({process.name})"
                users += [] if user in users else [user]
    return found


def role(capability: bytes, formats: tuple[Format, ...]) -> Role:
    """Say what a node is by its struct v4l2_capability and what it gives; what is a camera, the agent's rule says."""
    if devices.is_camera(capability):
        return "camera"
    _driver, _card, _bus, _version, whole, own = CAPABILITY.unpack(capability)
    able = own if whole & _HAS_DEVICE_CAPS else whole
    return "encoder" if able & _M2M and any(one.fourcc == "H264" for one in formats) else "other"


def named(fourcc: int) -> str:
    """Name a pixel format as v4l2-ctl does: "MJPG", or "XR15-BE" where the highest bit says big-endian."""
    name = (fourcc & ~_BIG_ENDIAN).to_bytes(4, "little").decode("latin-1")
    return f"{name}-BE" if fourcc & _BIG_ENDIAN else name.rstrip()


def _node(path: Path, used_by: tuple[str, ...]) -> VideoNode:
    capability = bytearray(CAPABILITY.size)
    try:
        with devices.opened(path) as descriptor:
            fcntl.ioctl(descriptor, QUERYCAP, capability)
            found = tuple(_formats(descriptor))
    except OSError as error:
        problem = error.strerror or str(error)
        return VideoNode(path=str(path), driver="", card="", role="other", formats=(), used_by=used_by, problem=problem)
    driver, card, *_ = CAPABILITY.unpack(capability)
    return VideoNode(
        path=str(path),
        driver=_string(driver),
        card=_string(card),
        role=role(bytes(capability), found),
        formats=found,
        used_by=used_by,
        problem=None,
    )


def _formats(descriptor: int) -> Iterator[Format]:
    for kind in (_CAPTURE, _CAPTURE_MPLANE):
        for index in range(_BOUND):
            answer = _asked(descriptor, ENUM_FMT, FORMAT.pack(index, kind, 0, b"", 0, 0))
            if answer is None:
                break
            fourcc = FORMAT.unpack(answer)[4]
            yield Format(fourcc=named(fourcc), sizes=tuple(_sizes(descriptor, fourcc)))


def _sizes(descriptor: int, fourcc: int) -> Iterator[str]:
    for index in range(_BOUND):
        answer = _asked(descriptor, ENUM_FRAMESIZES, SIZE.pack(index, fourcc, 0, 0, 0, 0, 0, 0, 0))
        if answer is None:
            return
        _index, _fourcc, kind, *sides = SIZE.unpack(answer)
        if kind != _DISCRETE:  # a range: least, most and step of the width, then of the height
            yield f"{sides[0]}x{sides[3]} to {sides[1]}x{sides[4]}"
            return
        yield f"{sides[0]}x{sides[1]}"


def _asked(descriptor: int, request: int, question: bytes) -> bytes | None:
    """Ask for an entry of a list; None beyond its end, or where a node has no such list. Errors: OSError."""
    answer = bytearray(question)
    try:
        fcntl.ioctl(descriptor, request, answer)
    except OSError as error:
        if error.errno in {errno.EINVAL, errno.ENOTTY, errno.ENODATA}:
            return None
        raise
    return bytes(answer)


def _string(name: bytes) -> str:
    return name.split(b"\0", 1)[0].decode("latin-1")

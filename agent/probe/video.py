"""The nodes /dev/videoN, asked from the kernel (linux/videodev2.h): what drives each, what it is, what it gives."""

from __future__ import annotations

import contextlib
import errno
import fcntl
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Final

from agent.capture import devices
from agent.probe.facts import Format, Role, VideoNode

_CAPTURE, _CAPTURE_MPLANE = 1, 9  # enum v4l2_buf_type
_BIG_ENDIAN: Final = 1 << 31
_NO_MORE: Final = frozenset({errno.EINVAL, errno.ENOTTY, errno.ENODATA})  # also of a node that has no such list


def nodes(directory: Path = Path("/dev")) -> tuple[VideoNode, ...]:
    """Describe every video node, lowest number first."""
    users = programs(f"{directory}/video")
    return tuple(_node(path, tuple(users.get(str(path), ()))) for path in devices.nodes(directory))


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
    able = devices.able_to(capability)
    return "encoder" if able & devices.M2M and any(one.fourcc == "H264" for one in formats) else "other"


def named(fourcc: int) -> str:
    """Name a pixel format as v4l2-ctl does: "MJPG", or "XR15-BE" where the highest bit says big-endian."""
    name = (fourcc & ~_BIG_ENDIAN).to_bytes(4, "little").decode("latin-1")
    return f"{name}-BE" if fourcc & _BIG_ENDIAN else name.rstrip()


def _node(path: Path, used_by: tuple[str, ...]) -> VideoNode:
    capability = bytearray(devices.CAPABILITY.size)
    try:
        with devices.opened(path) as descriptor:
            fcntl.ioctl(descriptor, devices.QUERYCAP, capability)
            found = tuple(_formats(descriptor))
    except OSError as error:
        problem = error.strerror or str(error)
        return VideoNode(path=str(path), driver="", card="", role="other", formats=(), used_by=used_by, problem=problem)
    driver, card, *_ = devices.CAPABILITY.unpack(capability)
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
        question = partial(_format, kind)
        for answer in devices.answers(descriptor, devices.ENUM_FMT, question, ends=_NO_MORE):
            fourcc = devices.FORMAT.unpack(answer)[4]
            yield Format(fourcc=named(fourcc), sizes=tuple(_sizes(descriptor, fourcc)))


def _format(kind: int, index: int) -> bytes:
    return devices.FORMAT.pack(index, kind, 0, b"", 0, 0)


def _sizes(descriptor: int, fourcc: int) -> Iterator[str]:
    def question(index: int) -> bytes:
        return devices.SIZE.pack(index, fourcc, 0, *[0] * 6)

    for answer in devices.answers(descriptor, devices.ENUM_FRAMESIZES, question, ends=_NO_MORE):
        _index, _fourcc, kind, *sides = devices.SIZE.unpack(answer)
        if kind != devices.DISCRETE:  # a range: least, most and step of the width, then of the height
            yield f"{sides[0]}x{sides[3]} to {sides[1]}x{sides[4]}"
            return
        yield f"{sides[0]}x{sides[1]}"


def _string(name: bytes) -> str:
    return name.split(b"\0", 1)[0].decode("latin-1")

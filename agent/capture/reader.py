"""The pictures of /dev/videoN, straight from the driver's buffers (linux/videodev2.h, as 64-bit kernels lay it out).

FFmpeg's V4L2 input blocks in a read that a silent driver never ends, and hides the buffers' times and flags.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import mmap
import os
import select
import struct
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from agent.capture import devices
from agent.capture.modes import Chosen

_FORMAT = struct.Struct("=II12I152x")  # type; width, height, pixelformat, field, bytesperline, sizeimage, ...
_PARAMETERS = struct.Struct("=IIIIIII176x")  # type; capability, mode, timeperframe, ...
_REQUEST = struct.Struct("=III8x")  # count, type, memory
_BUFFER = struct.Struct(
    "=IIIII4xqq16xIII4xI12x"
)  # index, type, bytesused, flags, field; time; sequence, memory, offset; length
_TYPE = struct.Struct("=I")

_S_FMT = 0xC0D05605
_REQBUFS = 0xC0145608
_QUERYBUF = 0xC0585609
_QBUF = 0xC058560F
_DQBUF = 0xC0585611
_STREAMON = 0x40045612
_STREAMOFF = 0x40045613
_S_PARM = 0xC0CC5616

_CAPTURE = 1
_MMAP = 1
_ANY_FIELD = 0
_DAMAGED = 0x40

BUFFERS = 4
"""Pictures that the driver may be ahead of us; when all wait, it drops, and what is read next is that much old."""

_LOOK_S = 0.2
"""How often a driver that gives nothing is left, to see whether somebody wants the end."""


class Taken(NamedTuple):
    """One picture: its bytes, valid until the next is asked for, and the driver's time, 0 where it gives none."""

    data: memoryview
    at_us: int


class Reader:
    """A camera that streams. `chosen` and `stride` (bytes from row to row) are as the driver has granted them."""

    def __init__(self, descriptor: int, chosen: Chosen) -> None:
        self._descriptor = descriptor
        self.chosen, self.stride = _negotiated(descriptor, chosen)
        self._maps: list[mmap.mmap] = []
        self._lent = memoryview(b"")  # what would keep its map from being closed

    def pictures(self, stopped: Callable[[], bool], silent_s: float) -> Iterator[Taken]:
        """Give each picture until `stopped`. Errors: OSError; TimeoutError after `silent_s` without a picture.

        What the driver marks as damaged is left out.
        """
        self._start()
        poll = select.poll()
        poll.register(self._descriptor, select.POLLIN)
        heard = time.monotonic()
        while not stopped():
            poll.poll(_LOOK_S * 1000)
            buffer = bytearray(_BUFFER.pack(0, _CAPTURE, *[0] * 6, _MMAP, 0, 0))
            try:
                self._ask(_DQBUF, buffer)
            except BlockingIOError:
                pass
            else:
                index, _, size, flags, _, seconds, micros, *_ = _BUFFER.unpack(buffer)
                if size and not flags & _DAMAGED:
                    heard = time.monotonic()
                    self._lent = memoryview(self._maps[index])[:size]
                    yield Taken(self._lent, seconds * 1_000_000 + micros)
                    self._lent.release()
                self._ask(_QBUF, buffer)
            if time.monotonic() - heard > silent_s:
                raise TimeoutError(
                    errno.ETIMEDOUT, f"the camera gives no picture for {silent_s:g} s; unplug it and plug it in again"
                )

    def close(self) -> None:
        """Give all buffers back; the driver may be gone already."""
        with contextlib.suppress(OSError):
            self._ask(_STREAMOFF, _TYPE.pack(_CAPTURE))
        self._lent.release()
        for mapped in self._maps:
            mapped.close()
        self._maps.clear()

    def set_control(self, control: int, value: int) -> None:
        """Set one of the camera's controls. Errors: OSError, where it has none of that kind."""
        devices.set_control(self._descriptor, control, value)

    def _start(self) -> None:
        request = bytearray(_REQUEST.pack(BUFFERS, _CAPTURE, _MMAP))
        self._ask(_REQBUFS, request)
        for index in range(_REQUEST.unpack(request)[0]):
            buffer = bytearray(_BUFFER.pack(index, _CAPTURE, *[0] * 6, _MMAP, 0, 0))
            self._ask(_QUERYBUF, buffer)
            *_, offset, length = _BUFFER.unpack(buffer)
            self._maps.append(mmap.mmap(self._descriptor, length, offset=offset))
            self._ask(_QBUF, buffer)
        self._ask(_STREAMON, _TYPE.pack(_CAPTURE))

    def _ask(self, request: int, argument: bytes | bytearray) -> None:
        try:
            fcntl.ioctl(self._descriptor, request, argument)
        except OSError as error:
            if error.errno != errno.EINVAL:
                raise
            # What is asked is right: the driver has ended the stream, or fails. It may do better the next time.
            raise OSError(errno.EIO, os.strerror(errno.EIO)) from error


@contextmanager
def reading(device: Path, chosen: Chosen) -> Iterator[Reader]:
    """Open a camera in the chosen mode. Errors: OSError."""
    with devices.opened(device) as descriptor:
        reader = Reader(descriptor, chosen)
        try:
            yield reader
        finally:
            reader.close()


def _negotiated(descriptor: int, chosen: Chosen) -> tuple[Chosen, int]:
    """Set format, size and rate, and say what the driver has made of them, with the stride."""
    code = int.from_bytes(chosen.fourcc.encode("latin-1"), "little")
    wanted = bytearray(_FORMAT.pack(_CAPTURE, 0, chosen.width, chosen.height, code, _ANY_FIELD, *[0] * 8))
    fcntl.ioctl(descriptor, _S_FMT, wanted)
    _, _, width, height, granted, _, stride, *_ = _FORMAT.unpack(wanted)
    if granted != code:
        raise OSError(errno.EINVAL, f"the driver takes no {chosen.fourcc}")
    rate = bytearray(_PARAMETERS.pack(_CAPTURE, 0, 0, 1000, round(chosen.fps * 1000), 0, 0))
    fps = chosen.fps
    with contextlib.suppress(OSError):  # some capture devices have no rate to set: it is what is plugged into them
        fcntl.ioctl(descriptor, _S_PARM, rate)
        numerator, denominator = _PARAMETERS.unpack(rate)[3:5]
        fps = denominator / numerator if numerator and denominator else fps
    return Chosen(chosen.fourcc, width, height, fps, chosen.why), stride

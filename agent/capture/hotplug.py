"""Cameras that are plugged in, as udev tells everybody who listens: a camera that was waited for is there at once."""

from __future__ import annotations

import asyncio
import errno
import logging
import socket
import struct
from collections.abc import Callable
from typing import Final

log = logging.getLogger(__name__)

_KOBJECT_UEVENT: Final = 15  # linux/netlink.h
# The kernel tells group 1 of a device before its node may be opened; udev tells group 2 when it has set the rights and
# made the links below /dev/v4l. Only root may send to either.
_UDEV: Final = 2
# libudev's header: its prefix, a magic number, its length, where the properties begin, and their length.
_HEADER: Final = struct.Struct("=8s4xIII")
_PREFIX: Final = b"libudev\0"
_LONGEST: Final = 64 * 1024


async def listen(plugged_in: Callable[[], None]) -> None:
    """Call `plugged_in` for each camera that comes, until cancelled; where nobody may listen, return after a word."""
    loop = asyncio.get_running_loop()
    try:
        listener = _listener()
    except OSError as error:
        log.info("cameras that are plugged in are found by trying: %s", error.strerror)
        return
    with listener:
        while True:
            try:
                message = await loop.sock_recv(listener, _LONGEST)
            except OSError as error:
                if error.errno != errno.ENOBUFS:
                    raise
                plugged_in()  # more came at once than there was room for: a camera may have been among it
            else:
                if camera_came(message):
                    plugged_in()


def _listener() -> socket.socket:
    listener = socket.socket(socket.AF_NETLINK, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK, _KOBJECT_UEVENT)
    try:
        listener.bind((0, _UDEV))
    except OSError:
        listener.close()
        raise
    return listener


def camera_came(message: bytes) -> bool:
    """Say whether a message of udev tells of a new video device."""
    if len(message) < _HEADER.size:
        return False
    prefix, _, start, length = _HEADER.unpack_from(message)
    properties = message[start : start + length].split(b"\0")
    return prefix == _PREFIX and b"ACTION=add" in properties and b"SUBSYSTEM=video4linux" in properties

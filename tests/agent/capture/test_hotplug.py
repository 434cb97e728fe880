"""What udev says, without udev; tests/guest hears it from a real one."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.capture.hotplug import camera_came


def _message(*properties: str, prefix: bytes = b"libudev\0") -> bytes:
    """Lay a message out as libudev does (struct monitor_netlink_header of sd-device)."""
    text = b"".join(line.encode() + b"\0" for line in properties)
    magic = struct.pack(">I", 0xFEEDCAFE)
    return prefix + magic + struct.pack("=7I", 40, 40, len(text), 0, 0, 0, 0) + text


CAME = ("ACTION=add", "DEVPATH=/devices/usb1/1-1/video4linux/video0", "SUBSYSTEM=video4linux", "DEVNAME=/dev/video0")


def test_a_camera_that_came_is_told_from_all_else() -> None:
    assert camera_came(_message(*CAME))
    assert not camera_came(_message("ACTION=remove", *CAME[1:]))
    assert not camera_came(_message("ACTION=add", "SUBSYSTEM=block", "DEVNAME=/dev/sda"))
    assert not camera_came(_message(*CAME, prefix=b"kernel\0\0"))


@pytest.mark.parametrize("length", [0, 1, 8, 23, 24, 39, 40, 55])
def test_a_message_that_is_cut_short_says_nothing(length: int) -> None:
    assert not camera_came(_message(*CAME)[:length])


@given(st.binary(max_size=200))
def test_no_message_is_too_odd(message: bytes) -> None:
    camera_came(message)
    camera_came(b"libudev\0" + message)

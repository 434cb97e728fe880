from __future__ import annotations

import struct
from pathlib import Path

import pytest

from agent.capture import devices

CAPTURE, M2M_MPLANE, M2M, META = 0x1, 0x4000, 0x8000, 0x0080_0000
MEDIA_CONTROLLER, STREAMING, DEVICE_CAPS = 0x2000_0000, 0x0400_0000, 0x8000_0000


def _capability(driver: bytes, whole: int, node: int) -> bytes:
    """Lay out a struct v4l2_capability (linux/videodev2.h)."""
    return struct.pack("=16s32s32sIII12x", driver, b"a card", b"usb-1", 0x060100, whole, node)


@pytest.mark.parametrize(
    ("driver", "node", "camera"),
    [
        (b"uvcvideo", CAPTURE | STREAMING, True),
        (b"uvcvideo", META | STREAMING, False),  # the metadata node beside every USB camera
        (b"vivid", CAPTURE | STREAMING, True),
        (b"bcm2835-codec", M2M_MPLANE | STREAMING, False),
        (b"vicodec", CAPTURE | M2M, False),
        (b"bcm2835-isp", CAPTURE | STREAMING, False),
        (b"unicam", CAPTURE | STREAMING, False),
        (b"rp1-cfe", CAPTURE | STREAMING | MEDIA_CONTROLLER, False),
    ],
)
def test_only_nodes_that_give_pictures_by_themselves_are_cameras(driver: bytes, node: int, camera: bool) -> None:
    whole = CAPTURE | META | STREAMING | DEVICE_CAPS

    assert devices.is_camera(_capability(driver, whole, node)) is camera


def test_an_old_driver_without_node_capabilities_is_judged_by_those_of_the_whole_device() -> None:
    assert devices.is_camera(_capability(b"old", CAPTURE, 0))
    assert not devices.is_camera(_capability(b"old", 0, CAPTURE))


def test_files_that_are_no_devices_are_no_cameras(tmp_path: Path) -> None:
    (tmp_path / "video0").write_bytes(b"")
    (tmp_path / "video1").symlink_to("/dev/null")
    (tmp_path / "video2").symlink_to(tmp_path / "nowhere")

    assert devices.cameras(tmp_path) == []


def test_asking_what_is_no_camera_for_its_formats_is_the_kernels_own_error() -> None:
    with pytest.raises(OSError, match="Inappropriate ioctl"):
        devices.formats(Path("/dev/null"))
    with pytest.raises(OSError, match="Inappropriate ioctl"), devices.opened(Path("/dev/null")) as descriptor:
        devices.set_control(descriptor, devices.BITRATE, 1)

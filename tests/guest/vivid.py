"""A real V4L2 driver without hardware: the kernel's vivid, as a webcam of one node."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

DEVICE = Path("/dev/v4l/by-path/platform-vivid.0-video-index0")
"""The name that udev gives it, whatever its number is."""

_DRIVER = Path("/sys/bus/platform/drivers/vivid")
_WEBCAM = ("n_devs=1", "node_types=1", "num_inputs=1", "input_types=0")


def load(number: int = -1) -> None:
    """Load the driver; its node is /dev/videoN of this number if that is free, -1 for the first that is."""
    _modprobe("vivid", *_WEBCAM, f"vid_cap_nr={number}")
    settle()


def unload() -> None:
    """Take the driver away. Errors: CalledProcessError while somebody has it open."""
    settle()  # udev looks into a node that is new
    _modprobe("--remove", "vivid")
    settle()


def unplug() -> None:
    """Take the device from its driver, whoever uses it, as a plug that is pulled does."""
    (_DRIVER / "unbind").write_text("vivid.0")


def plug() -> None:
    (_DRIVER / "bind").write_text("vivid.0")


def control(name: str, value: int = 1) -> None:
    """Set one of the driver's controls, those that inject errors among them."""
    subprocess.run(["v4l2-ctl", "--device", DEVICE, "--set-ctrl", f"{name}={value}"], check=True)


def settle() -> None:
    """Wait until udev has done with what happened."""
    subprocess.run(["udevadm", "settle"], check=True)


def _modprobe(*arguments: str) -> None:
    modules = os.environ["CAMWARD_GUEST_MODULES"]
    subprocess.run(["modprobe", "--dirname", modules, *arguments], check=True)

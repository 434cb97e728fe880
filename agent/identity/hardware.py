"""What the hardware is called: the serial that a claim is bound to."""

from __future__ import annotations

import hashlib
import hmac
import re
from pathlib import Path
from typing import Final

from agent.identity.errors import EnrollmentError

_BOARD: Final = ("proc/device-tree/serial-number", "sys/firmware/devicetree/base/serial-number")
_MACHINE_ID: Final = re.compile(r"[0-9a-f]{32}")
_APPLICATION: Final = b"camward hardware serial"


def hardware_serial(top: Path = Path("/")) -> str:
    """Give the board's own serial number, else one made from /etc/machine-id (machine-id(5)). Errors: EnrollmentError.

    A PC's DMI serial is not used: only root may read it, and many makers leave it empty or equal.
    """
    for name in _BOARD:
        if serial := _read(top / name):
            return serial
    if _MACHINE_ID.fullmatch(machine := _read(top / "etc/machine-id")):
        # machine-id(5) asks to never show the id itself
        return f"machine-{hmac.new(machine.encode(), _APPLICATION, hashlib.sha256).hexdigest()[:32]}"
    raise EnrollmentError("this machine has no serial number: choose one and give it with --serial")


def _read(path: Path) -> str:
    try:
        text = path.read_text("ascii").strip("\0 \n")
    except (OSError, ValueError):
        return ""
    return text if text.isprintable() and not {" ", ":"} & set(text) else ""

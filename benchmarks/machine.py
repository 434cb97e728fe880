"""What the figures are of: the machine, and the versions of everything that took part."""

from __future__ import annotations

import json
import os
import platform
import re
import subprocess
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any, Final

from agent import hot_path
from benchmarks.materials import SENDERS

_PYTHON: Final = ("camward", "aiortc", "aioice", "pylibsrtp", "av", "cryptography")
_DEBIAN: Final = {
    "pion": "golang-github-pion-webrtc.v3-dev",
    "go": "golang-go",
    "gstreamer": "gstreamer1.0-plugins-bad",
    "libnice": "gstreamer1.0-nice",
    "mosquitto": "mosquitto",
}


def machine() -> dict[str, Any]:
    """Name the machine, its kernel, and how busy it was when the run began."""
    models = re.findall(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
    return {
        "cpu": models[0] if models else platform.machine(),
        "cores": os.cpu_count(),
        "kernel": platform.release(),
        "load_before": round(os.getloadavg()[0], 2),
    }


def versions() -> dict[str, str]:
    """Name the versions of the senders and of what they stand on."""
    found = {name: metadata.version(name) for name in _PYTHON} | {"python": platform.python_version()}
    for name, package in _DEBIAN.items():
        found[name] = _said("dpkg-query", "--show", "--showformat=${Version}", package)
    locked = json.loads((SENDERS / "libdatachannel" / "package-lock.json").read_text())
    found["node-datachannel"] = locked["packages"]["node_modules/node-datachannel"]["version"]
    found["node"] = _said("node", "--version")
    return found


def circumstances() -> dict[str, Any]:
    """Say when, on what and of what a run is; `compiled`: whether camward's hot path is, in this very environment."""
    return {
        "at": datetime.now(UTC).date().isoformat(),
        "machine": machine(),
        "versions": versions(),
        "compiled": hot_path.HOW == "compiled",
    }


def _said(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip() or "-"

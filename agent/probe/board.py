"""The machine: read from the files of the root directory `top`, so that a recorded board reads like a real one."""

from __future__ import annotations

import platform
import re
from importlib import metadata
from pathlib import Path
from typing import Final

from agent import hot_path
from agent.probe.facts import Board, Boot

_MODELS: Final = ("proc/device-tree/model", "sys/class/dmi/id/product_name")
_CONFIGS: Final = ("boot/firmware/config.txt", "boot/config.txt")  # of Debian 12 and later, and before
_CORES: Final = {  # "CPU part", Arm's main ID register; a 64-bit kernel gives no name
    "0xd03": "Cortex-A53",
    "0xd04": "Cortex-A35",
    "0xd05": "Cortex-A55",
    "0xd07": "Cortex-A57",
    "0xd08": "Cortex-A72",
    "0xd09": "Cortex-A73",
    "0xd0a": "Cortex-A75",
    "0xd0b": "Cortex-A76",
    "0xd0c": "Neoverse-N1",
}


def board(top: Path = Path("/")) -> Board:
    """Say what the machine is; what cannot be read is "unknown", and never an error."""
    cpuinfo, architecture = text(top / "proc/cpuinfo"), platform.machine()
    memory = re.search(r"^MemTotal:\s+(\d+) kB", text(top / "proc/meminfo"), re.MULTILINE)
    system = re.search(r'^PRETTY_NAME="?([^"\n]+)', text(top / "etc/os-release"), re.MULTILINE)
    return Board(
        model=next(filter(None, (text(top / path) for path in _MODELS)), f"{architecture} machine"),
        architecture=architecture,
        cpu=_cpu(cpuinfo),
        cores=len(re.findall(r"^processor\s*:", cpuinfo, re.MULTILINE)),
        aes="aes" in _line("(?:flags|Features)", cpuinfo).split(),
        memory_mib=int(memory[1]) // 1024 if memory else 0,
        system=system[1] if system else "unknown",
        kernel=text(top / "proc/sys/kernel/osrelease") or "unknown",
        python=platform.python_version(),
        camward=metadata.version("camward"),
        hot_path=hot_path.HOW,
    )


def boot(top: Path = Path("/")) -> Boot | None:
    """Read a Raspberry Pi's config.txt; None where there is none. Sections such as [cm4] are not told apart."""
    for name in _CONFIGS:
        if lines := text(top / name):
            settings = [line.partition("#")[0].strip() for line in lines.splitlines()]
            return Boot(
                path=f"/{name}",
                auto_detect="camera_auto_detect=1" in settings,
                overlays=tuple(line.partition("=")[2] for line in settings if line.startswith("dtoverlay=")),
                legacy="start_x=1" in settings,
            )
    return None


def text(path: Path) -> str:
    """Give a file's text without the ends that a device tree and sysfs put there; "" where it cannot be read."""
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip("\0 \n")
    except OSError:
        return ""


def _cpu(cpuinfo: str) -> str:
    return _CORES.get(_line("CPU part", cpuinfo)) or _line("model name", cpuinfo) or "unknown"


def _line(name: str, cpuinfo: str) -> str:
    found = re.search(rf"^{name}\s*:\s*(.*)$", cpuinfo, re.MULTILINE)
    return found[1].strip() if found else ""

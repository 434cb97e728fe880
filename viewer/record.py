"""The received H.264 as a file: copied into a container, never decoded or encoded again."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Final

import av
import av.stream

from viewer.errors import Fault, Usage
from viewer.h264 import describe
from viewer.reassembly import Unit

# What stands in the file can be played at every moment, but for the last second: the MP4 is fragmented until it is
# closed, and a plain one after that.
_FORMATS: Final = {
    ".mp4": ("mp4", {"movflags": "hybrid_fragmented", "frag_duration": "1000000", "flush_packets": "1"}),
    ".mkv": ("matroska", {"cluster_time_limit": "1000", "flush_packets": "1"}),
    ".h264": ("h264", {"flush_packets": "1"}),
}
# A camera counts microseconds, RTP 1/90000 s, and both cut off: up to 12 us are lost. Rounded to 1/30000 s they do not
# show, and the pictures of 60, 50, 30, 29.97, 25, 24, 20 and 15 fps stand a whole number apart.
_TIME_BASE: Final = Fraction(1, 30_000)
_TICKS: Final = 3  # of RTP, in one of ours
_ALONE: Final = 1_000  # how long a picture lasts that has no successor and no predecessor: 1/30 s


def check_path(path: Path) -> None:
    """Refuse early what could not be written later. Errors: Usage."""
    if path.suffix.lower() not in _FORMATS:
        raise Usage("file", f"--record writes {', '.join(_FORMATS)}; {path.name} ends in none of these.")
    if path.exists():
        raise Usage("file", f"{path} is there already, and a recording overwrites nothing; choose another name.")
    if not path.parent.is_dir():
        raise Usage("file", f"{path.parent} is not a folder; make it first.")


class Recorder:
    """Writes one file, begun by its first keyframe. Errors of all methods: Fault."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._container: av.container.OutputContainer | None = None
        self._held: av.Packet[av.stream.Stream] | None = None  # until its successor tells how long it lasts
        self._first_ticks = 0

    def write(self, unit: Unit) -> None:
        """Append a picture; those before the first keyframe are left out."""
        try:
            if self._container is not None or (unit.keyframe and self._open(unit)):
                self._append(unit)
        except OSError as error:
            raise Fault("file", f"{self._path} cannot be written: {error.strerror or error}.") from error

    def close(self) -> None:
        """Finish the file. Harmless twice, and before the first picture."""
        container, self._container = self._container, None
        if container is None:
            return
        try:
            if self._held is not None:
                self._held.duration = self._held.duration or _ALONE
                container.mux(self._held)
            container.close()
        except OSError as error:
            raise Fault("file", f"{self._path} could not be finished: {error.strerror or error}.") from error

    def _open(self, keyframe: Unit) -> bool:
        template = describe(keyframe.data)
        if template is None:
            return False
        kind, options = _FORMATS[self._path.suffix.lower()]
        container = av.open(self._path, "w", format=kind, options=dict(options))
        container.add_stream_from_template(template).time_base = _TIME_BASE
        container.start_encoding()
        self._container = container
        self._first_ticks = keyframe.ticks
        return True

    def _append(self, unit: Unit) -> None:
        assert self._container is not None  # noqa: S101  # write has opened it
        packet: av.Packet[av.stream.Stream] = av.Packet(unit.data)
        packet.stream = self._container.streams[0]
        packet.time_base = _TIME_BASE
        packet.pts = round((unit.ticks - self._first_ticks) / _TICKS)
        packet.is_keyframe = unit.keyframe
        if (held := self._held) is not None:
            assert held.pts is not None  # noqa: S101  # set above
            packet.pts = max(packet.pts, held.pts + 1)
            packet.duration = held.duration = packet.pts - held.pts
            self._container.mux(held)
        packet.dts = packet.pts
        self._held = packet

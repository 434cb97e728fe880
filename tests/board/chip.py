"""A stand-in for the encoder chip of a Pi up to the 4: picamera2's own encoder thread, with libx264 for the chip.

It takes what picamera2's H264Encoder takes, and calls back as that does: on a thread of its own, under picamera2's
lock, counting from its first picture. What the chip itself makes of it only a board shows.
"""

from __future__ import annotations

import errno
import os
import queue
import threading
from pathlib import Path
from typing import Any

import av
import pytest

from agent.capture import devices, picamera
from agent.capture.encoder import Encoder
from agent.config import CameraConfig


def fit(monkeypatch: pytest.MonkeyPatch, *, contexts: int = 2) -> None:
    """Give this board such a chip, that encodes so many streams at once."""
    from picamera2 import encoders
    from picamera2.request import MappedArray

    chips: dict[int, Encoder] = {}

    class Chip(encoders.Encoder):  # type: ignore[misc]
        def __init__(self, *, bitrate: int, repeat: bool, iperiod: int, framerate: int, profile: str) -> None:
            super().__init__()
            assert repeat
            assert profile == "constrained baseline"
            self._codec = Encoder(
                CameraConfig(bitrate_bps=bitrate, fps=framerate, keyframe_interval_s=iperiod / framerate)
            )
            self._requests: queue.Queue[Any] = queue.Queue()

        def force_key_frame(self) -> None:
            self._codec.request_keyframe()

        def _start(self) -> None:
            if len(chips) == contexts:
                raise OSError(errno.EBUSY, os.strerror(errno.EBUSY))
            self.vd = Path("/dev/null").open("rb")  # noqa: SIM115  # closed by _stop, as picamera2 does
            chips[self.vd.fileno()] = self._codec
            self._thread = threading.Thread(target=self._body, daemon=True)
            self._thread.start()

        def _stop(self) -> None:
            self._requests.put(None)
            self._thread.join()
            del chips[self.vd.fileno()]
            self.vd.close()

        def _encode(self, stream: Any, request: Any) -> None:
            request.acquire()
            self._requests.put((request, self._timestamp(request)))

        def _body(self) -> None:
            while (job := self._requests.get()) is not None:
                request, at_us = job
                with MappedArray(request, self.name, write=False) as mapped:
                    frame = av.VideoFrame.from_numpy_buffer(mapped.array, format="nv12", width=self.width)
                    units = list(self._codec.encode(frame, at_us))
                    del frame
                request.release()
                for unit in units:
                    self.outputframe(unit.data, unit.keyframe, at_us)
                del job, request, units

    def set_control(descriptor: int, control: int, value: int) -> None:
        assert control == devices.BITRATE
        chips[descriptor].set_bitrate(value)

    monkeypatch.setattr(devices, "set_control", set_control)
    monkeypatch.setattr(picamera, "chip_encoder", lambda: Chip)

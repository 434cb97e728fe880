"""A second of encoding, in a process of its own: python -m agent.probe.encoding CODEC WIDTH HEIGHT FPS BITS_PER_SECOND.

The agent's own encoder, with its own settings; a driver that hangs or crashes takes nothing with it but this process.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Sequence
from typing import Final

import av

from agent.capture.encoder import Encoder
from agent.capture.picture import Picture
from agent.capture.source import CaptureError
from agent.config import CameraConfig

_SECONDS: Final = 1.0


def tried(arguments: Sequence[str]) -> dict[str, float | str]:
    """Encode, and say what it took or what the problem is."""
    codec, width, height, fps, bitrate_bps = arguments[0], *map(int, arguments[1:])
    av.logging.set_level(av.logging.PANIC)  # what went wrong stands in the error
    if codec not in av.codecs_available:
        return {"problem": "this FFmpeg does not have it"}
    config = CameraConfig(width=width, height=height, fps=fps, bitrate_bps=bitrate_bps)
    try:
        return dict(measured(config, codec))
    except (CaptureError, OSError, KeyError) as error:
        return {"problem": str(error)}


def measured(config: CameraConfig, codec: str) -> dict[str, float]:
    """Encode for a second, as fast as it goes, after a first picture that opens the encoder. Errors: CaptureError."""
    encoder, picture = Encoder(config, codecs=(codec,)), Picture(config.width, config.height)
    for _ in encoder.encode(picture.frame, 0):
        pass
    pictures, began, cpu_began = 0, time.monotonic(), time.process_time()
    while (took_s := time.monotonic() - began) < _SECONDS:
        pictures += 1
        picture.draw(pictures / config.fps)
        for _ in encoder.encode(picture.frame, pictures * 1_000_000 // config.fps):
            pass
    cpu_s = time.process_time() - cpu_began
    return {"fps": round(pictures / took_s, 1), "cpu_ms": round(cpu_s / pictures * 1000, 2)}


if __name__ == "__main__":
    sys.stdout.write(json.dumps(tried(sys.argv[1:])))

"""FFmpeg's H.264 encoders, each tried for a second in a process of its own."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Final

from agent.capture.encoder import HARDWARE_FIRST
from agent.config import CameraConfig
from agent.probe import commands
from agent.probe.facts import Encoder

CODECS: Final = HARDWARE_FIRST


def encoders(config: CameraConfig, *, m2m: bool, quick: bool, say: Callable[[str], None]) -> tuple[Encoder, ...]:
    """Try each in the configured size, or with `quick` none; `say` hears which one it is.

    `m2m` says whether a node encodes H.264: without one, FFmpeg would only say that it cannot be configured.
    """
    return tuple(_tried(codec, config, m2m=m2m, quick=quick, say=say) for codec in CODECS)


def _tried(codec: str, config: CameraConfig, *, m2m: bool, quick: bool, say: Callable[[str], None]) -> Encoder:
    if codec == "h264_v4l2m2m" and not m2m:
        return _encoder(codec, config, works=False, problem="no /dev/video* encodes H.264")
    if quick:
        return _encoder(codec, config, works=None, problem=None)
    say(f"encoding for a second with {codec}")
    numbers = (config.width, config.height, config.fps, config.bitrate_bps)
    answer = commands.python("-m", "agent.probe.encoding", codec, *map(str, numbers))
    try:
        found = json.loads(answer.output)
    except ValueError:
        last = (answer.errors.strip().splitlines() or [f"it ended with {answer.code}"])[-1]
        return _encoder(codec, config, works=False, problem=last)
    if "problem" in found:
        return _encoder(codec, config, works=False, problem=found["problem"])
    return _encoder(codec, config, works=True, problem=None, fps=found["fps"], cpu_ms=found["cpu_ms"])


def _encoder(
    codec: str,
    config: CameraConfig,
    *,
    works: bool | None,
    problem: str | None,
    fps: float | None = None,
    cpu_ms: float | None = None,
) -> Encoder:
    return Encoder(
        codec=codec, works=works, problem=problem, width=config.width, height=config.height, fps=fps, cpu_ms=cpu_ms
    )

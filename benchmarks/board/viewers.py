"""How many viewers the board serves from its camera until pictures are lost or come late, all on the board itself."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

from agent.config import CameraConfig
from benchmarks import materials
from benchmarks.child import Failed

_NEEDS: Final = {
    "mosquitto": "sudo apt-get install mosquitto",
    "go": "sudo apt-get install golang-go golang-github-pion-webrtc.v3-dev",
}
_SBIN: Final = "/usr/sbin"


def measure(config: CameraConfig, *, aes: bool, to: int, seconds: float, least_fps: float) -> dict[str, Any]:
    """Add viewers to the real agent with this camera; Errors: Failed, also where a part is missing."""
    for program, how in _NEEDS.items():
        if shutil.which(program, path=f"{os.environ.get('PATH', '')}:{_SBIN}") is None:
            raise Failed(f"{program} is not installed: {how}")
    if to < 1:
        raise Failed("none were wanted")
    srtp = "gcm" if aes else "cm"
    with contextlib.redirect_stdout(sys.stderr):  # the steps, as they come
        return asyncio.run(_measure(config, srtp, to, seconds, least_fps))


async def _measure(config: CameraConfig, srtp: str, to: int, seconds: float, least_fps: float) -> dict[str, Any]:
    from benchmarks.agent_sending import agent_running  # what of the tests it stands on, not every board has
    from benchmarks.growth import add_viewers
    from benchmarks.viewers import receiving

    camera = {"source": config.source, "width": config.width, "height": config.height, "fps": config.fps}
    with tempfile.TemporaryDirectory() as path:
        folder = Path(path)
        async with (
            receiving(materials.receiver(), srtp, folder / "receiver.log") as receiver,
            agent_running(camera, folder) as sender,
        ):
            steps, broke = await add_viewers(receiver, sender, to=to, seconds=seconds, least_fps=least_fps)
    return {"srtp": srtp, "least_fps": round(least_fps, 2), "broke": broke, "steps": [asdict(step) for step in steps]}

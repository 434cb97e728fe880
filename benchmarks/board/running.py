"""A source by itself, in a process of its own: how soon it gives a picture, how many, and what they cost.

python -m benchmarks.board.running SOURCE SECONDS
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from typing import Any, Final

from agent.capture.choose import Choice
from agent.capture.run import Run
from agent.capture.source import CaptureError
from agent.config import CameraConfig
from agent.media.access_unit import AccessUnit
from benchmarks.child import Failed, rss_mb

_FIRST_S: Final = 20.0


def measure(config: CameraConfig, seconds: float) -> dict[str, Any]:
    """Run a source with the default settings, and say what it did. Errors: Failed."""
    command = [sys.executable, "-m", "benchmarks.board.running", config.source, str(seconds)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_FIRST_S + 2 * seconds + 30, check=False)
        found = json.loads(done.stdout)
    except subprocess.TimeoutExpired:
        raise Failed(f"{config.source}: it hangs") from None
    except ValueError:
        last = (done.stderr.strip().splitlines() or [f"it ended with {done.returncode}"])[-1]
        raise Failed(f"{config.source}: {last}") from None
    if "failed" in found:
        raise Failed(found["failed"])
    return dict(found)


async def observe(config: CameraConfig, seconds: float) -> dict[str, Any]:
    """Run a source on its thread as the agent does. Errors: CaptureError, Failed."""
    came, units = asyncio.Event(), list[AccessUnit]()

    def deliver(unit: AccessUnit) -> None:
        units.append(unit)
        came.set()

    began = time.monotonic()
    run = Run(Choice(config), deliver, came.set, bitrates={}, sub_wanted=False)
    try:
        async with asyncio.timeout(_FIRST_S):
            await came.wait()
        first_ms = (time.monotonic() - began) * 1000
        cpu, before, since = time.process_time(), len(units), time.monotonic()
        await asyncio.sleep(seconds)
        took_s = time.monotonic() - since
        cores, pictures = (time.process_time() - cpu) / took_s, units[before:]
    except TimeoutError:
        raise Failed(f"{run.about}: no picture within {_FIRST_S:g} s") from None
    finally:
        run.stop()
        await run.wait_ended(5)
    if run.error is not None:
        raise run.error
    if len(pictures) < 2:
        raise Failed(f"{run.about}: {len(pictures)} pictures in {seconds:g} s")
    return {
        "source": run.name,
        "seconds": round(took_s, 1),
        "first_picture_ms": round(first_ms),
        "fps": round(len(pictures) / took_s, 2),
        "kbps": round(sum(len(unit.data) for unit in pictures) * 8 / took_s / 1000),
        "cores": round(cores, 3),
        "rss_mb": round(rss_mb(os.getpid()), 1),
        "dropped": run.dropped,
    }


def main(arguments: Sequence[str]) -> None:
    """Observe, and print as JSON."""
    try:
        print(json.dumps(asyncio.run(observe(CameraConfig(source=arguments[0]), float(arguments[1])))))
    except (CaptureError, Failed) as error:
        print(json.dumps({"failed": str(error)}))


if __name__ == "__main__":
    main(sys.argv[1:])

"""How long light takes from an LED to an encoded picture: unproven until a board with an LED runs it.

The camera looks at an LED on a pin (--led). It is switched at odd moments; each picture's brightness is that of its
decoded luma. What is measured is from the switch to the moment at which the picture that shows it has left the encoder;
the network and the viewer's screen come after it (docs/boards.md says how to film the whole way).
"""

from __future__ import annotations

import asyncio
import random
import statistics
import time
from collections.abc import Iterable, Sequence
from typing import Any, Final

import av

from agent.capture.choose import Choice
from agent.capture.run import Run
from agent.capture.source import CaptureError
from agent.config import CameraConfig
from agent.media.access_unit import AccessUnit
from benchmarks.child import Failed

_SWITCHES: Final = 20
_DARK_S: Final = 0.5
_LEAST_DIFFERENCE: Final = 8.0  # of 255, between lit and dark
_START_S: Final = 20.0


def measure(config: CameraConfig, led: int | None) -> dict[str, Any]:
    """Switch the LED and look at the pictures. Errors: Failed, also where there is no LED."""
    if led is None:
        raise Failed("no LED: connect one to a pin in the camera's sight, and name it with --led PIN")
    try:
        import gpiozero

        light = gpiozero.LED(led)
    except Exception as error:
        raise Failed(f"the LED at pin {led} cannot be driven: {error}") from error
    try:
        times, units, switched = asyncio.run(_filmed(config, light))
    except CaptureError as error:
        raise Failed(str(error)) from error
    finally:
        light.close()
    delays_ms = sorted(delay * 1000 for delay in delays(list(zip(times, brightness(units), strict=True)), switched))
    return {
        "switches": len(delays_ms),
        "median_ms": round(statistics.median(delays_ms), 1),
        "least_ms": round(delays_ms[0], 1),
        "most_ms": round(delays_ms[-1], 1),
    }


def brightness(units: Iterable[AccessUnit]) -> list[float]:
    """Decode, and give the mean luma of each picture. Errors: Failed where one does not decode."""
    decoder, levels = av.CodecContext.create("h264", "r"), list[float]()
    decoder.thread_count = 1
    packets = [av.Packet(unit.data) for unit in units]
    for packet in [*packets, None]:
        for frame in decoder.decode(packet):
            plane = frame.planes[0]
            row = memoryview(plane)
            # Every eighth line says as much as all of them.
            lines = [bytes(row[y * plane.line_size :][: plane.width]) for y in range(0, plane.height, 8)]
            levels.append(sum(map(sum, lines)) / (len(lines) * plane.width))
    if len(levels) != len(packets):
        raise Failed(f"{len(packets) - len(levels)} of {len(packets)} pictures do not decode")
    return levels


def delays(pictures: Sequence[tuple[float, float]], switched: Sequence[float]) -> list[float]:
    """Give the seconds from each switching on to the first picture that is brighter than halfway from dark to lit.

    `pictures` are (when it came, its brightness), `switched` the times at which the LED went on: seconds of one clock.
    Errors: Failed, where the light makes no difference to the pictures, or to one of the times.
    """
    levels = sorted(level for _at, level in pictures)
    if not levels:
        raise Failed("no picture came")
    dark, lit = levels[len(levels) // 10], levels[-1 - len(levels) // 10]
    if lit - dark < _LEAST_DIFFERENCE:
        raise Failed(f"the LED makes no difference to the pictures ({dark:.0f} to {lit:.0f} of 255): move it nearer")
    halfway, found = (dark + lit) / 2, []
    for index, on_at in enumerate(switched):
        until = switched[index + 1] if index + 1 < len(switched) else float("inf")
        seen = [at for at, level in pictures if on_at <= at < until and level > halfway]
        if not seen:
            raise Failed("the LED was not seen each time: darken the room, or move it nearer")
        found.append(seen[0] - on_at)
    return found


async def _filmed(config: CameraConfig, light: Any) -> tuple[list[float], list[AccessUnit], list[float]]:
    times, units, switched, came = list[float](), list[AccessUnit](), list[float](), asyncio.Event()

    def deliver(unit: AccessUnit) -> None:
        times.append(time.monotonic())
        units.append(unit)
        came.set()

    run = Run(Choice(config), deliver, came.set, bitrates={}, sub_wanted=False)
    try:
        async with asyncio.timeout(_START_S):
            await came.wait()
        await asyncio.sleep(1)  # exposure settles
        for _ in range(_SWITCHES):
            await asyncio.sleep(_DARK_S + random.uniform(0, 0.1))  # noqa: S311  # not in step with the pictures
            switched.append(time.monotonic())
            light.on()
            await asyncio.sleep(_DARK_S)
            light.off()
    except TimeoutError:
        raise Failed(f"{run.about}: no picture within {_START_S:g} s") from None
    finally:
        run.stop()
        await run.wait_ended(5)
    if run.error is not None:
        raise run.error
    return times, units, switched

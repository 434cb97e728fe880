"""What every camera kind is to the rest of the agent."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol, runtime_checkable

from agent.capture.camera_controls import Range
from agent.media.access_unit import AccessUnit, StreamName


class CaptureError(Exception):
    """The camera gives no picture; the message says why and what to do, in one line.

    CaptureError
    ├── TemporaryCaptureError   worth trying again: busy, unplugged
    └── PermanentCaptureError   will not pass by itself: a wrong file, a missing encoder, no permission
        └── HungCaptureError    nor in this process at all
    """


class TemporaryCaptureError(CaptureError):
    """The camera may come back by itself: try again, later each time."""


class PermanentCaptureError(CaptureError):
    """Somebody has to do something: do not try again."""


class HungCaptureError(PermanentCaptureError):
    """A source that does not stop hangs in a driver: only a new process helps."""


class Source(Protocol):
    """One run of one camera. Made, run once on a thread of its own, stopped; then a new one is made."""

    name: str
    """What it is, in one line that begins with its kind: "pattern 1280x720 at 30 fps, libx264"."""

    has_sub: bool
    """Whether there is a second, smaller encode of the same pictures, of the same pts."""

    def run(self, emit: Callable[[AccessUnit], None]) -> None:
        """Open the camera and emit, each stream beginning with a keyframe, until `stop`; close what was opened.

        Blocks the calling thread; returns at once if stopped before. Errors: CaptureError.
        """

    def stop(self) -> None:
        """End `run` soon. From any thread, never blocks, harmless twice and before `run`."""

    def request_keyframe(self, stream: StreamName = "main") -> None:
        """Want the next picture of this stream to be a keyframe. From any thread, never blocks."""

    def set_bitrate(self, bitrate_bps: int, stream: StreamName = "main") -> None:
        """Aim at `bitrate_bps` from the next picture on, without restart or gap in pts. From any thread."""

    def want_sub(self, wanted: bool) -> None:
        """Emit the sub stream too, from the next picture on, or no more. From any thread, never blocks."""


@runtime_checkable
class Adjustable(Protocol):
    """What a Source may be besides: one whose settings can change while it runs."""

    def ranges(self) -> dict[str, Range]:
        """Say of each setting that can change what it may be; nothing before and after the run. From any thread."""

    def set_control(self, setting: str, value: Any) -> None:
        """Change a setting of CameraConfig for the rest of the run. From any thread, never blocks.

        `value` may be anything at all. Errors: UnfitControl for what does not fit.
        """

"""One camera of the device with all that is its own: its streams, and what its viewers' rates lead to."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from functools import partial
from types import NoneType
from typing import Any, Final

from agent.capture.camera import Camera, State
from agent.capture.camera_controls import UnfitControl
from agent.capture.choose import Choice
from agent.config import CameraConfig
from agent.media.access_unit import StreamName
from agent.media.level import level_idc
from agent.media.rate import SUB_MIN_BPS, Rates
from agent.media.stream import Stream
from agent.service.watchdog import Progress
from agent.webrtc.adaptation import Adaptation
from agent.webrtc.control import SCOPE, Command, CommandRefused
from agent.webrtc.sessions import Sessions

_NAME: Final = 64  # characters of what it is that a status has room for


class Channel:
    """Named as in the configuration; the only camera of a device has no name."""

    def __init__(
        self,
        name: str,
        config: CameraConfig,
        *,
        origin: int,
        sent: Callable[[Channel], None],
        on_state: Callable[[Channel, State], None],
    ) -> None:
        """`origin` is that of the RTP timestamps (RFC 3550, section 5.1); `sent` hears of each picture that left."""
        self.name: Final = name
        self.config: Final = config
        self.level_idc: Final = level_idc(config.width, config.height, config.fps, config.bitrate_bps)
        self._on_state = on_state
        self._state_since = asyncio.get_running_loop().time()
        left = partial(sent, self)
        self.streams: Final[dict[StreamName, Stream]] = {
            "main": Stream("main", ask=lambda: self.camera.request_keyframe("main"), sent=left, origin=origin),
            "sub": Stream("sub", ask=lambda: self.camera.request_keyframe("sub"), sent=left, origin=origin),
        }
        self.title: Final = f"camera {name}".rstrip()
        self.camera: Final = Camera(
            config, Choice(config), self.streams, is_only=not name, on_state=self._changed, title=self.title
        )
        self.commands: Final = commands(self.camera)

    @property
    def what(self) -> str:
        """Say what it is, for people: its kind, until it has run for the first time."""
        return (self.camera.name or self.config.source.partition(":")[0])[:_NAME]

    def adaptation(self, sessions: Sessions) -> Adaptation:
        """Make what follows the viewers' rates."""
        rates = Rates(
            main_max_bps=self.config.bitrate_bps,
            main_min_bps=self.config.min_bitrate_bps,
            sub_max_bps=self.config.sub_bitrate_bps,
            sub_min_bps=SUB_MIN_BPS,
        )
        now = asyncio.get_running_loop().time
        return Adaptation(self.name, rates, sessions, self.streams, self.camera, now=now)

    def progress(self) -> Progress:
        """Say what the watchdog looks at."""
        return Progress(
            camera_state=lambda: self.camera.state,
            state_since=lambda: self._state_since,
            last_frame_at=lambda: self.camera.last_frame_at,
            name=f"the {self.title}",
        )

    def _changed(self, state: State) -> None:
        self._state_since = asyncio.get_running_loop().time()
        self._on_state(self, state)


def commands(camera: Camera) -> Mapping[str, Command]:
    """Make what viewers may ask of a camera over the data channel: one camera for all, so all see what one changes."""

    def ranges(asked: Mapping[str, Any]) -> dict[str, Any]:
        return {setting: {"low": may.low, "high": may.high} for setting, may in camera.ranges().items()}

    def adjust(asked: Mapping[str, Any]) -> dict[str, Any]:
        setting, value = asked.get("setting"), asked.get("value")
        if not isinstance(setting, str) or "value" not in asked or type(value) not in {int, float, str, NoneType}:
            raise CommandRefused("malformed")
        if isinstance(value, float) and value.is_integer():
            value = int(value)  # to JSON, 30 and 30.0 are one number
        try:
            camera.set_control(setting, value)
        except UnfitControl as error:
            raise CommandRefused("unfit", str(error)) from error
        return {}

    return {"ranges": Command(scope=SCOPE, run=ranges), "adjust": Command(scope=SCOPE, run=adjust)}

"""Carries out what `media/rate.py` decides: the encoder's bitrates, and which viewer is given which stream."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final, Protocol

from agent.media.access_unit import StreamName
from agent.media.rate import Rates
from agent.media.stream import Stream
from agent.webrtc.sessions import Sessions

_EVERY_S: Final = 0.25


class Encoders(Protocol):
    """What of the camera can be changed while it runs."""

    @property
    def has_sub(self) -> bool:
        """Say whether there is a second, smaller encode."""

    def want_sub(self, wanted: bool) -> None:
        """Have the second encode or not; harmless when it is so already."""

    def set_bitrate(self, bitrate_bps: int, stream: StreamName) -> None:
        """Aim at this from the next picture on; harmless when it is so already."""


class Adaptation:
    """Looks at the rates of all viewers of one camera, at most four times a second."""

    def __init__(
        self,
        camera: str,
        rates: Rates,
        sessions: Sessions,
        streams: Mapping[StreamName, Stream],
        encoders: Encoders,
        *,
        now: Callable[[], float],
    ) -> None:
        self._camera = camera
        self._rates = rates
        self._sessions = sessions
        self._streams = streams
        self._encoders = encoders
        self._now = now
        self._next_at = 0.0

    def look(self) -> None:
        """Adapt, if it is time; called when a picture has left, so that nothing has to wake for it."""
        now = self._now()
        if now < self._next_at:
            return
        self._next_at = now + _EVERY_S
        decision = self._rates.decide(self._sessions.rates(self._camera), now, has_sub=self._encoders.has_sub)
        self._encoders.want_sub("sub" in decision.streams.values())
        self._encoders.set_bitrate(decision.main_bps, "main")
        self._encoders.set_bitrate(decision.sub_bps, "sub")
        for sid, name in decision.streams.items():
            self._sessions.watch(sid, self._streams[name])

"""The only place that wires the parts: camera, sessions, broker, pins, systemd. Nothing here decides by itself."""

from __future__ import annotations

import asyncio
import logging
import random
import secrets
import time
from collections.abc import Callable, Coroutine
from importlib import metadata
from typing import Any, Final

from agent.capture import hotplug
from agent.capture.camera import Camera, State
from agent.capture.choose import Choice
from agent.config import Config
from agent.identity.clock import LastGood
from agent.identity.est import EstClient
from agent.identity.keeper import Keeper
from agent.identity.renewal import Renewal
from agent.media.access_unit import StreamName
from agent.media.level import level_idc
from agent.media.rate import SUB_MIN_BPS, Rates
from agent.media.stream import Stream
from agent.panel.panel import Panel
from agent.service import memory, notify, watchdog
from agent.signaling.calls import Calls
from agent.signaling.gate import Call, Gate
from agent.signaling.link import Link, Presence
from agent.tasks import end
from agent.webrtc.adaptation import Adaptation
from agent.webrtc.session import Terms
from agent.webrtc.sessions import Sessions
from protocol import jws
from protocol.errors import Refused
from protocol.messages import Answer, Bye, Candidate, Status, Telemetry, kind_of

_LOG: Final = logging.getLogger(__name__)
_HOUSEKEEPING_S: Final = 5.0
_TELEMETRY_S: Final = 60.0
_LAST_WORDS_S: Final = 6.0  # longer than a source needs to stop, and the link to say goodbye
_CAMERA_NAME: Final = 64  # characters of it that a status has room for
_SOFTWARE: Final = f"camward {metadata.version('camward')}"


class Daemon:
    """One device, from its first connection to its last bye."""

    def __init__(self, config: Config) -> None:
        """Put the parts together; nothing runs yet. Errors: EnrollmentError, PanelError."""
        loop = asyncio.get_running_loop()
        self._config = config
        self._keeper = Keeper(Renewal(config.identity), LastGood.of(config.identity))
        self._device = self._keeper.current.device_id
        self._camera_state_since = self._started = loop.time()
        root = EstClient(config.identity).root
        origin = random.getrandbits(32)  # of RTP timestamps (RFC 3550, section 5.1)
        streams: dict[StreamName, Stream] = {
            "main": Stream("main", ask=lambda: self._camera.request_keyframe("main"), sent=self._read, origin=origin),
            "sub": Stream("sub", ask=lambda: self._camera.request_keyframe("sub"), sent=self._read, origin=origin),
        }
        self._camera = Camera(config.camera, Choice(config.camera), streams, on_state=self._on_camera)
        self._panel = Panel(config.panel, self._on_privacy)
        self._sessions = Sessions(config.session, streams["main"], now=loop.time, on_change=self._on_sessions)
        rates = Rates(
            main_max_bps=config.camera.bitrate_bps,
            main_min_bps=config.camera.min_bitrate_bps,
            sub_max_bps=config.camera.sub_bitrate_bps,
            sub_min_bps=SUB_MIN_BPS,
        )
        self._adaptation = Adaptation(rates, self._sessions, streams, self._camera, now=loop.time)
        self._gate = Gate(
            device=self._device,
            root=root,
            now=time.time(),
            random=secrets.token_bytes,
            longest_s=config.session.longest_s,
        )
        self._calls = Calls(
            device=self._device, gate=self._gate, open=self._open, sessions=self._sessions, say=self._say
        )
        self._link = Link(
            config.broker,
            device=self._device,
            root=config.identity.root,
            presence=Presence(online=lambda: self._status("online"), offline=lambda: self._status("offline")),
            receive=self._calls.receive,
            on_state=self._on_link,
        )

    async def run(self, stop: asyncio.Event) -> None:
        """Serve until `stop`, or until a part ends for good. Errors: an ExceptionGroup of the parts' own errors."""
        async with asyncio.TaskGroup() as outer:
            link = outer.create_task(self._link.run(lambda: self._keeper.presented), name="link")
            try:
                async with asyncio.TaskGroup() as inner:
                    tasks = [inner.create_task(part, name=name) for name, part in self._parts()]
                    notify.ready("waiting for the broker")
                    try:
                        await stop.wait()
                    finally:
                        notify.stopping()
                        self._link.leave()
                        await self._sessions.end_all("shutdown")
                        await end(*tasks, again_s=_LAST_WORDS_S)
            finally:
                self._panel.close()
                await end(link, again_s=_LAST_WORDS_S)

    def _parts(self) -> list[tuple[str, Coroutine[Any, Any, None]]]:
        parts = [
            ("camera", self._camera.run()),
            ("hotplug", hotplug.listen(self._camera.plugged_in)),
            ("adaptation", self._adaptation.run()),
            ("challenge", self._keep_challenge()),
            ("telemetry", self._keep_telemetry()),
            ("renewal", self._keeper.run(reconnect=self._link.reconnect, renewed=self._link.reconnect)),
        ]
        if interval_s := notify.watchdog_interval_s():
            progress = watchdog.Progress(
                camera_state=lambda: self._camera.state,
                state_since=lambda: self._camera_state_since,
                last_frame_at=lambda: self._camera.last_frame_at,
            )
            parts.append(("watchdog", watchdog.feed(progress, interval_s)))
        return parts

    def _open(
        self,
        call: Call,
        answered: Callable[[str], None],
        found: Callable[[str, str], None],
        ended: Callable[[str], None],
    ) -> None:
        """Serve a verified call, with the certificate that is current now. Errors: Refused."""
        if self._panel.privacy:
            raise Refused("privacy", "the privacy switch is closed")
        current, camera = self._keeper.current, self._config.camera
        terms = Terms(
            sid=call.offer.sid,
            viewer=call.grant.jkt,
            subject=call.grant.sub,
            scope=call.grant.scope,
            offer=call.offer.sdp,
            setup_s=self._config.session.setup_s,
            life_s=call.life_s,
            key=current.key,
            certificate=current.chain[0],
            full_bps=camera.bitrate_bps,
            level_idc=level_idc(camera.width, camera.height, camera.fps, camera.bitrate_bps),
            playout_delay_ms=self._config.session.playout_delay_ms,
            network=self._config.network,
        )
        self._sessions.open(terms, answered=answered, found=found, ended=ended)

    def _say(self, caller: str, message: Answer | Candidate | Bye) -> None:
        self._link.reply(caller, self._sign(message))

    def _sign(self, message: Answer | Candidate | Bye | Status | Telemetry) -> str:
        current = self._keeper.current
        return jws.sign(kind_of(message), message.payload(), key=current.key, chain=current.chain)

    def _status(self, presence: str) -> str:
        online = presence == "online"
        return self._sign(
            Status(
                device=self._device,
                presence=presence,
                iat=int(time.time()),
                challenge=self._gate.challenge if online else "",
                viewers=self._sessions.viewers if online else 0,
                camera=(self._camera.name or self._config.camera.source)[:_CAMERA_NAME],
                software=_SOFTWARE,
            )
        )

    def _telemetry(self) -> str:
        return self._sign(
            Telemetry(
                device=self._device,
                iat=int(time.time()),
                uptime_s=int(asyncio.get_running_loop().time() - self._started),
                viewers=self._sessions.viewers,
                pending=len(self._sessions) - self._sessions.viewers,
                refused=dict(self._calls.refused),
                ended=dict(self._sessions.ended),
                dropped=self._link.dropped,
            )
        )

    # What the parts tell each other.

    def _read(self) -> None:
        self._sessions.read()

    def _on_camera(self, state: State) -> None:
        self._camera_state_since = asyncio.get_running_loop().time()
        if state in {"starting", "asleep", "privacy"}:  # between them the light stays as it is
            self._panel.on_air(state == "starting")
        self._link.announce()

    def _on_sessions(self) -> None:
        self._camera.demand(len(self._sessions))
        self._adaptation.watched(self._sessions.viewers)
        notify.status(f"{self._sessions.viewers} watching")
        self._link.announce()
        if not len(self._sessions):
            memory.give_back()

    def _on_privacy(self, closed: bool) -> None:
        _LOG.info("privacy switch %s", "closed" if closed else "open")
        self._camera.set_privacy(closed)
        if closed:
            self._sessions.end_each("privacy")

    def _on_link(self, connected: bool) -> None:
        notify.status("connected to the broker" if connected else "waiting for the broker")
        if connected:
            self._keeper.connected()

    async def _keep_challenge(self) -> None:
        while True:
            await asyncio.sleep(_HOUSEKEEPING_S)
            if self._gate.rotate(time.time()):
                self._link.announce()

    async def _keep_telemetry(self) -> None:
        while True:
            await asyncio.sleep(_TELEMETRY_S)
            self._link.report(self._telemetry)

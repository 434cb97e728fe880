"""The only place that wires the parts: camera, sessions, broker, pins, systemd. Nothing here decides by itself."""

from __future__ import annotations

import asyncio
import logging
import platform
import random
import secrets
import time
from collections.abc import Callable, Coroutine
from importlib import metadata
from typing import Any, Final

from agent import hot_path
from agent.capture import hotplug
from agent.capture.camera import State
from agent.channel import Channel
from agent.config import Config
from agent.identity.clock import LastGood
from agent.identity.est import EstClient
from agent.identity.keeper import Keeper
from agent.identity.renewal import Renewal
from agent.panel.panel import Panel
from agent.service import memory, notify, watchdog
from agent.signaling.calls import Calls
from agent.signaling.gate import Call, Gate
from agent.signaling.link import Link, Presence
from agent.tasks import end
from agent.webrtc import network
from agent.webrtc.session import Move, Terms
from agent.webrtc.sessions import Sessions
from protocol import jws
from protocol.errors import Refused
from protocol.messages import Answer, Bye, Candidate, Status, Telemetry, kind_of

_LOG: Final = logging.getLogger(__name__)
_HOUSEKEEPING_S: Final = 5.0
_TELEMETRY_S: Final = 60.0
_LAST_WORDS_S: Final = 6.0  # longer than a source needs to stop, and the link to say goodbye
_SOFTWARE: Final = f"camward {metadata.version('camward')}"


class Daemon:
    """One device, from its first connection to its last bye."""

    def __init__(self, config: Config) -> None:
        """Put the parts together; nothing runs yet. Errors: EnrollmentError, PanelError."""
        loop = asyncio.get_running_loop()
        self._config = config
        self._keeper = Keeper(Renewal(config.identity), LastGood.of(config.identity))
        self._device = self._keeper.current.device_id
        self._started = loop.time()
        root = EstClient(config.identity).root
        origin = random.getrandbits(32)
        self._channels = [
            Channel(name, camera, origin=origin, sent=self._sent, on_state=self._on_camera)
            for name, camera in config.every_camera().items()
        ]
        self._on_air: set[Channel] = set()
        self._panel = Panel(config.panel, self._on_privacy)
        self._sessions = Sessions(
            config.session,
            {channel.name: channel.streams["main"] for channel in self._channels},
            now=loop.time,
            on_change=self._on_sessions,
        )
        self._adaptations = {channel: channel.adaptation(self._sessions) for channel in self._channels}
        self._gate = Gate(
            device=self._device,
            root=root,
            now=time.time(),
            random=secrets.token_bytes,
            longest_s=config.session.longest_s,
        )
        self._calls = Calls(
            device=self._device,
            gate=self._gate,
            open=self._open,
            move=self._move,
            sessions=self._sessions,
            say=self._say,
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
        _LOG.info("%s, Python %s, hot path: %s", _SOFTWARE, platform.python_version(), hot_path.HOW)
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
            *((f"camera {channel.name}", channel.camera.run()) for channel in self._channels),
            ("hotplug", hotplug.listen(self._plugged_in)),
            ("challenge", self._keep_challenge()),
            ("telemetry", self._keep_telemetry()),
            ("network", network.watch(self._link.network_changed)),  # viewers find out by themselves
            ("renewal", self._keeper.run(reconnect=self._link.reconnect, renewed=self._link.reconnect)),
        ]
        if interval_s := notify.watchdog_interval_s():
            cameras = [channel.progress() for channel in self._channels]
            parts.append(("watchdog", watchdog.feed(cameras, interval_s)))
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
        current = self._keeper.current
        channel = self._channel(call.offer.camera)
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
            full_bps=channel.config.bitrate_bps,
            camera=channel.name,
            level_idc=channel.level_idc,
            playout_delay_ms=self._config.session.playout_delay_ms,
            network=self._config.network,
            commands=channel.commands,
        )
        self._sessions.open(terms, answered=answered, found=found, ended=ended)

    def _channel(self, name: str) -> Channel:
        """Find a camera by its name; without one it is the first. Errors: Refused."""
        for channel in self._channels:
            if name in {"", channel.name}:
                return channel
        raise Refused("no-camera", "this device has no camera of that name")

    def _move(self, sid: str, offer: str, answered: Callable[[str], None], found: Callable[[str, str], None]) -> None:
        """Bring a session over to another connection. Errors: Refused."""
        current = self._keeper.current
        to = Move(offer=offer, key=current.key, certificate=current.chain[0])
        self._sessions.move(sid, to, answered=answered, found=found)

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
                camera=self._channels[0].what,
                cameras=tuple(channel.name for channel in self._channels if channel.name),
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
                datagrams=self._sessions.dropped,
            )
        )

    # What the parts tell each other.

    def _sent(self, channel: Channel) -> None:
        self._sessions.read()
        self._adaptations[channel].look()

    def _plugged_in(self) -> None:
        for channel in self._channels:
            channel.camera.plugged_in()

    def _on_camera(self, channel: Channel, state: State) -> None:
        if state == "starting":
            self._on_air.add(channel)
            self._panel.on_air(True)
        elif state in {"asleep", "privacy"}:  # between them the light stays as it is
            self._on_air.discard(channel)
            if not self._on_air:
                self._panel.on_air(False)
        self._link.announce()

    def _on_sessions(self) -> None:
        for channel in self._channels:
            channel.camera.demand(self._sessions.of(channel.name))
        notify.status(f"{self._sessions.viewers} watching")
        self._link.announce()
        if not len(self._sessions):
            memory.give_back()

    def _on_privacy(self, closed: bool) -> None:
        _LOG.info("privacy switch %s", "closed" if closed else "open")
        for channel in self._channels:
            channel.camera.set_privacy(closed)
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

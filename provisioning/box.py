"""A fleet in a box (`camward demo`): a whole fleet and one device on this machine, kept in one directory.

The device is a process of its own with the very code, configuration and protocols of a real one; what this file gives
it is a TOML file, and a one-time code over standard input.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import json
import os
import signal
import webbrowser
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from provisioning import store
from provisioning.box_device import DeviceProcess
from provisioning.box_ports import free_ports
from provisioning.files import FleetError, PortTaken, write_atomic
from provisioning.people import EVERY_DEVICE
from provisioning.serve import LOOPBACK, FleetService, Options
from provisioning.store import Fleet, Ports

SERIAL: Final = "demo"
LABEL: Final = "demo camera"
PERSON: Final = "demo"
_NAMES: Final = ("localhost", *LOOPBACK)
_READY_S: Final = 20.0
_PORT_TRIES: Final = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class BoxOptions:
    """What `camward demo` was told. `host` None is localhost alone, and the page without TLS."""

    directory: Path
    sources: Mapping[str, str] = field(default_factory=dict)  # by the camera's name; empty for one without
    broker: str = "embedded"
    port: int | None = None
    host: str | None = None
    browser: bool = True
    seconds: float | None = None
    verbose: bool = False


async def run_box(options: BoxOptions, say: Callable[[str], None]) -> None:
    """Run until Ctrl-C, SIGTERM or `seconds`. Errors: FleetError."""
    stop, loop = asyncio.Event(), asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, stop.set)
    with _alone(options.directory):
        for _ in range(_PORT_TRIES):
            try:
                await _run(options, stop, say)
            except* PortTaken:
                say("a port that was free was taken just now; looking for others")
            else:
                return
        raise FleetError("ports are taken as fast as they are found: stop what takes them, and try again")


async def _run(options: BoxOptions, stop: asyncio.Event, say: Callable[[str], None]) -> None:
    fleet = await asyncio.to_thread(_fleet, options, say)
    address = None if options.host else "127.0.0.1"
    service_options = Options(broker=options.broker, address=address, local_page=options.host is None)
    config = _write_config(options, fleet)
    service = FleetService(fleet, service_options, say)
    if not service.people.permissions(PERSON).entries:
        service.people.permit(PERSON, device=EVERY_DEVICE, scope=frozenset({"live"}), is_app=False, now=_now())
    await _Box(options, config, service, stop, say).run()


class _Box:
    def __init__(
        self,
        options: BoxOptions,
        config: Path,
        service: FleetService,
        stop: asyncio.Event,
        say: Callable[[str], None],
    ) -> None:
        self._options, self._config, self._service, self._stop, self._say = options, config, service, stop, say
        self._end = asyncio.Event()  # of the fleet service, once the device is gone

    async def run(self) -> None:
        """Start the fleet, then the device; end them the other way round."""
        listening = asyncio.Event()
        async with asyncio.TaskGroup() as group:
            group.create_task(self._service.run(self._end, listening.set), name="fleet")
            waiting = group.create_task(listening.wait())
            try:
                await waiting
                if self._options.seconds is not None:
                    asyncio.get_running_loop().call_later(self._options.seconds, self._stop.set)
                await self._with_device()
                self._say("ending")
            finally:
                self._end.set()

    async def _with_device(self) -> None:
        identity = self._options.directory / "device"
        device = DeviceProcess(self._config, say=self._say, verbose=self._options.verbose)
        known = await asyncio.to_thread(self._enrolled_id)
        if known is None or not (identity / "operational.pem").exists():
            claim = await asyncio.to_thread(self._service.registry.claim, SERIAL, LABEL, _now())
            await device.enroll(SERIAL, claim.code)
            self._say(f"{LABEL}: made its keys, which stay in {identity}, and is enrolled as {claim.device}")
            known = claim.device
        else:
            self._say(f"{LABEL}: has its identity from the last time, {known}")
        async with asyncio.TaskGroup() as group:
            tasks = [
                group.create_task(device.run(), name="device"),
                group.create_task(self._announce(known), name="announce"),
            ]
            await self._stop.wait()
            for task in tasks:
                task.cancel()

    def _enrolled_id(self) -> str | None:
        registry = self._service.registry
        for device in registry.devices():
            if device.serial == SERIAL and registry.valid_certificates(device.id, _now()):
                return device.id
        return None

    async def _announce(self, device: str) -> None:
        """Print the address once the camera can be called, or is slow to come."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_READY_S):
                while self._service.gateway.presence(device) != "online":  # noqa: ASYNC110  # a few looks at a start
                    await asyncio.sleep(0.05)
        ports = self._service.fleet.ports
        code = await asyncio.to_thread(self._service.people.new_code, PERSON, _now())
        host = self._options.host
        base = f"http://localhost:{ports.page}" if host is None else f"https://{store.in_url(host)}:{ports.https}"
        self._say(f"ready: open {base}/#code={code}")
        self._say("the code works once and for 15 minutes; Ctrl-C ends the demo")
        if self._options.browser and any(os.environ.get(name) for name in ("DISPLAY", "WAYLAND_DISPLAY")):
            await asyncio.to_thread(webbrowser.open, f"{base}/#code={code}")


@contextlib.contextmanager
def _alone(directory: Path) -> Iterator[None]:
    """Keep a second demo out of the same directory. Errors: FleetError."""
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    except OSError as error:
        raise FleetError(f"{directory} cannot be used ({error.strerror}): give --dir another directory") from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    except BlockingIOError as error:
        raise FleetError(f"a demo runs in {directory} already: stop it, or give --dir another directory") from error
    finally:
        os.close(descriptor)


def _fleet(options: BoxOptions, say: Callable[[str], None]) -> Fleet:
    """Make or read the fleet, with ports that are free. Errors: FleetError."""
    directory = options.directory / "fleet"
    if not directory.exists():
        store.create(directory, names=_NAMES, now=_now())
        say(f"made a fleet in {directory}: a root, its issuing CAs and a registry")
    fleet = store.load(directory)
    names = (*_NAMES, options.host.lower()) if options.host else _NAMES
    wanted = Ports()
    if options.port is not None:
        wanted = replace(wanted, page=options.port) if options.host is None else replace(wanted, https=options.port)
    return replace(fleet, names=tuple(dict.fromkeys(names)), ports=free_ports(wanted, say))


def _write_config(options: BoxOptions, fleet: Fleet) -> Path:
    """Write agent.toml; a string of JSON is one of TOML as well. Errors: FleetError for a clip that is not there."""
    for source in options.sources.values():
        kind, _, file = source.partition(":")
        if kind == "clip" and not Path(file).is_file():
            raise FleetError(f"--source {source}: there is no file {file!r}")
    named = options.sources.items()
    tables: dict[str, dict[str, str | int]] = {
        "identity": {
            "root": str(fleet.directory / "root.pem"),
            "est": f"https://127.0.0.1:{fleet.ports.https}",
            "directory": str(options.directory / "device"),
        },
        "broker": {"host": "127.0.0.1", "port": fleet.ports.broker},
        **{f"cameras.{json.dumps(name)}" if name else "camera": {"source": source} for name, source in named},
    }
    lines = ["# Written by `camward demo` at each start."]
    for name, table in tables.items():
        lines += ["", f"[{name}]", *(f"{key} = {json.dumps(value)}" for key, value in table.items())]
    path = options.directory / "agent.toml"
    write_atomic(path, "\n".join([*lines, ""]).encode())
    return path


def _now() -> datetime:
    return datetime.now(UTC)

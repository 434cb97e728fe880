"""The installed mosquitto as a child, run with the files of `provisioning.broker_files`."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import shutil
import signal
import ssl
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final, Self

import aiomqtt
from cryptography.hazmat.primitives.asymmetric import ec

from protocol.names import Role
from provisioning import ca
from provisioning.broker_files import write_broker_files
from provisioning.files import FleetError, Leaf, PortTaken, write_leaf
from provisioning.people import People
from provisioning.registry import Registry
from provisioning.store import Fleet

_LOG: Final = logging.getLogger(__name__)
_START_S: Final = 10.0
_STOP_S: Final = 2.0
_RESTART_S: Final = 1.0
_PATHS: Final = f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/usr/local/sbin"
_EVICTION_LIFE: Final = timedelta(minutes=1)


class Mosquitto:
    """mosquitto on the fleet's broker port; `address` None is every address. `say` gets a line when it ends early."""

    def __init__(
        self, fleet: Fleet, registry: Registry, people: People, *, address: str | None, say: Callable[[str], None]
    ) -> None:
        self._fleet, self._registry, self._people = fleet, registry, people
        self._address, self._say = address, say

    async def __aenter__(self) -> Self:
        """Start it and wait until it listens. Errors: FleetError."""
        program = shutil.which("mosquitto", path=_PATHS)
        if program is None:
            raise FleetError("mosquitto is not installed: `apt install mosquitto`, or use --broker embedded")
        self._command = [program, "-c", str(await asyncio.to_thread(self._write))]
        if keeper := shutil.which("setpriv"):
            self._command = [keeper, "--pdeathsig", "TERM", *self._command]  # it does not outlive us, however we end
        self._process = await self._start()
        self._watching = asyncio.create_task(self._watch(), name="mosquitto")
        return self

    async def __aexit__(self, *_: object) -> None:
        """End it."""
        self._watching.cancel()
        await asyncio.gather(self._watching, return_exceptions=True)
        if self._process.returncode is None:
            self._process.terminate()
            try:
                async with asyncio.timeout(_STOP_S):
                    await self._process.wait()
            except TimeoutError:
                self._process.kill()
                await self._process.wait()

    async def reload(self) -> None:
        """Write rules and CRL anew, and have them read."""
        await asyncio.to_thread(self._write)
        with contextlib.suppress(ProcessLookupError):
            self._process.send_signal(signal.SIGHUP)

    async def evict(self, device: str) -> None:
        """End a device's connection: a name has one, and a certificate of a minute takes it over and leaves again."""
        context = await asyncio.to_thread(self._takeover, device)
        client = aiomqtt.Client(
            "localhost", self._fleet.ports.broker, tls_context=context, identifier=device, timeout=5
        )
        with contextlib.suppress(aiomqtt.MqttError):
            async with client:
                _LOG.debug("the connection of %s was taken over to end it", device)

    async def _start(self) -> asyncio.subprocess.Process:
        process = await asyncio.create_subprocess_exec(
            *self._command,
            stdin=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
            start_new_session=True,  # Ctrl-C is for us: we end it last
        )
        assert process.stderr is not None  # noqa: S101  # it is a pipe
        last = b""
        try:
            async with asyncio.timeout(_START_S):
                while b" running" not in last:
                    last, before = await process.stderr.readline(), last
                    if not last:
                        kind = PortTaken if b"Address already in use" in before else FleetError
                        raise kind(f"mosquitto does not start on port {self._fleet.ports.broker}: {_reason(before)}")
        except TimeoutError as error:
            process.kill()
            raise FleetError("mosquitto does not start, and does not say why") from error
        return process

    async def _watch(self) -> None:
        """Read its log to the end, and start it again when it ends by itself."""
        while True:
            last = b""
            assert self._process.stderr is not None  # noqa: S101  # it is a pipe
            async for line in self._process.stderr:
                _LOG.debug("mosquitto: %s", line.decode(errors="replace").strip())
                last = line
            code = await self._process.wait()
            why = f"signal {-code}" if code < 0 else _reason(last)
            self._say(f"mosquitto ended ({why}); it is started again")
            await self._restart()

    async def _restart(self) -> None:
        fault = ""
        while True:
            await asyncio.sleep(_RESTART_S)
            try:
                self._process = await self._start()
            except FleetError as error:
                if str(error) != fault:
                    fault = str(error)
                    self._say(f"{fault}; it is tried again")
            else:
                return

    def _write(self) -> Path:
        now = datetime.now(UTC)
        return write_broker_files(
            self._fleet,
            apps=self._people.apps(),
            withdrawn=self._registry.withdrawn_serials(now),
            now=now,
            address=self._address,
            user="root" if os.geteuid() == 0 else None,
        )

    def _takeover(self, device: str) -> ssl.SSLContext:
        issuer = self._fleet.authority_for(Role.DEVICE)
        key = ec.generate_private_key(ec.SECP256R1())
        leaf = ca.sign(
            key.public_key(),
            role=Role.DEVICE,
            name=device,
            issuer=issuer,
            now=datetime.now(UTC),
            life=_EVICTION_LIFE,
        )
        made = Leaf(path=self._fleet.directory / "broker" / "evict.pem", key=key, chain=(leaf, issuer.certificate))
        write_leaf(made)
        context = ssl.create_default_context(cafile=str(self._fleet.directory / "root.pem"))
        context.load_cert_chain(made.path)
        made.path.unlink()
        return context


def _reason(line: bytes) -> str:
    return line.decode(errors="replace").strip().partition(": ")[2] or "no reason given"

"""Real brokers over TLS for tests: the installed mosquitto, and ours in the process; and clients with certificates."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
import secrets
import signal
import socket
import ssl
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import aiomqtt
from cryptography import x509

from protocol.names import Role
from provisioning.broker_files import write_broker_files
from provisioning.embedded_broker import EmbeddedBroker
from provisioning.store import Fleet, create
from provisioning.tls import broker_context

MOSQUITTO = "/usr/sbin/mosquitto"


def _ports() -> Iterator[int]:
    """Ports below those that the kernel gives to whoever asks for any; each process of a run has some of its own."""
    most, each = 8, 2_500
    first = 10_000 + each * (int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")) % most)
    start = secrets.randbelow(each)  # another run may be on the same machine
    return (first + (start + step) % each for step in itertools.count())


_PORTS = _ports()


def free_port() -> int:
    """A port that was free a moment ago, and is given to nobody else."""
    for port in _PORTS:
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("", port))
            return port
    raise AssertionError("there is always another one")


def make_fleet(directory: Path) -> Fleet:
    """A fleet on localhost whose broker has a free port."""
    fleet = create(directory, names=["localhost", "127.0.0.1"], now=datetime.now(UTC))
    return replace(fleet, ports=replace(fleet.ports, broker=free_port(), https=free_port(), page=free_port()))


@dataclass(kw_only=True)
class RunningBroker:
    """A broker that runs, and how to connect to it."""

    fleet: Fleet
    protocol: aiomqtt.ProtocolVersion
    embedded: EmbeddedBroker | None = None
    process: asyncio.subprocess.Process | None = None

    def leaf(self, role: Role, name: str) -> Path:
        """The PEM file of a client, made if need be."""
        return self.fleet.ensure_leaf(
            role, name, self.fleet.directory / "clients" / f"{role}-{name}.pem", datetime.now(UTC)
        ).path

    def tls(self, role: Role, name: str) -> ssl.SSLContext:
        context = ssl.create_default_context(cafile=self.fleet.directory / "root.pem")
        context.load_cert_chain(self.leaf(role, name))
        return context

    def client(self, role: Role, name: str, timeout: float = 5, **more: Any) -> aiomqtt.Client:
        """An aiomqtt client that is still to be entered."""
        return aiomqtt.Client(
            "localhost",
            self.fleet.ports.broker,
            tls_context=self.tls(role, name),
            protocol=self.protocol,
            timeout=timeout,
            **more,
        )

    def reload(self, apps: Sequence[str]) -> None:
        """Have the running mosquitto take in rules for these apps."""
        assert self.process is not None
        _files(self.fleet, apps, ())
        self.process.send_signal(signal.SIGHUP)

    async def lets_in(self, tls: ssl.SSLContext) -> bool:
        """Whether the broker accepts a client with this TLS context: whether it answers CONNECT with 0 (MQTT 3.1.1)."""
        connect = b"\x10\x0d\x00\x04MQTT\x04\x02\x00\x3c\x00\x01x"
        async with asyncio.timeout(20):
            try:
                reader, writer = await asyncio.open_connection("localhost", self.fleet.ports.broker, ssl=tls)
                writer.write(connect)
                answer = await reader.read(4)
            except (OSError, ssl.SSLError):
                return False
        writer.transport.abort()
        return answer == b"\x20\x02\x00\x00"


async def next_message(client: aiomqtt.Client, seconds: float = 5) -> tuple[str, bytes]:
    """The next message that a client gets."""
    async with asyncio.timeout(seconds):
        async for message in client.messages:
            assert isinstance(message.payload, bytes)
            return str(message.topic), message.payload
    raise AssertionError("the client is disconnected")


@contextlib.asynccontextmanager
async def mosquitto(
    fleet: Fleet, apps: Sequence[str] = (), withdrawn: Sequence[int] = ()
) -> AsyncIterator[RunningBroker]:
    """The real mosquitto with the files that the fleet writes for it."""
    async with started(_files(fleet, apps, withdrawn), fleet) as broker:
        yield broker


def _files(fleet: Fleet, apps: Sequence[str], withdrawn: Sequence[int]) -> Path:
    return write_broker_files(
        fleet,
        apps=apps,
        withdrawn=withdrawn,
        now=datetime.now(UTC),
        address="127.0.0.1",
        user="root" if os.geteuid() == 0 else None,
    )


@contextlib.asynccontextmanager
async def started(configuration: Path, fleet: Fleet) -> AsyncIterator[RunningBroker]:
    """Run a mosquitto with this configuration file, on the fleet's broker port."""
    process = await asyncio.create_subprocess_exec(MOSQUITTO, "-c", configuration, stderr=asyncio.subprocess.PIPE)
    assert process.stderr is not None
    try:
        async with asyncio.timeout(10):
            while b"running" not in (line := await process.stderr.readline()):
                assert line, "mosquitto ended"
        draining = asyncio.create_task(_drain(process.stderr))
        yield RunningBroker(fleet=fleet, protocol=aiomqtt.ProtocolVersion.V5, process=process)
        draining.cancel()
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()


@contextlib.asynccontextmanager
async def embedded(fleet: Fleet, withdrawn: Sequence[int] = ()) -> AsyncIterator[RunningBroker]:
    """The broker in the process."""

    async def admit(_role: Role, _name: str, leaf: x509.Certificate) -> bool:
        return leaf.serial_number not in withdrawn

    context = broker_context(fleet, datetime.now(UTC))
    async with EmbeddedBroker(address="127.0.0.1", port=fleet.ports.broker, tls=context, admit=admit) as broker:
        yield RunningBroker(fleet=fleet, protocol=aiomqtt.ProtocolVersion.V311, embedded=broker)


async def _drain(stream: asyncio.StreamReader) -> None:
    while await stream.readline():
        pass

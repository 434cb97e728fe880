"""What each `camward fleet` command does; `out` gets the lines that it prints."""

from __future__ import annotations

import argparse
import asyncio
import json
import signal
import socket
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from protocol.names import Role
from protocol.printable import printable
from provisioning import store
from provisioning.files import FleetError
from provisioning.people import EVERY_DEVICE, People
from provisioning.registry import Registry
from provisioning.store import Fleet

OK: Final = 0
FAULT: Final = 1

Out = Callable[[str], None]


def init(arguments: argparse.Namespace, out: Out) -> int:
    """Make a fleet."""
    names = dict.fromkeys([*(arguments.host or [socket.gethostname()]), "localhost", "127.0.0.1", "::1"])
    made = store.create(arguments.dir, names=list(names), now=_now())
    made.ensure_server(_now())
    out(f"made a fleet in {made.directory}, for {', '.join(made.names)}")
    out(f"give each device {made.directory / 'root.pem'}, and take {made.directory / 'root.key'} offline")
    return OK


def claim(arguments: argparse.Namespace, out: Out) -> int:
    """Make the one-time code for one device."""
    loaded, registry, _ = _open(arguments.dir)
    made = registry.claim(arguments.serial, arguments.label or arguments.serial, _now())
    if arguments.json:
        _json(
            out,
            device=made.device,
            serial=arguments.serial,
            code=made.code,
            expires_at=int(made.expires_at.timestamp()),
        )
        return OK
    out(f"device  {made.device}")
    out(f"code    {made.code}    once, until {made.expires_at:%F %R} UTC")
    out("\non the device, where agent.toml names")
    out(f"  root = a copy of {loaded.directory / 'root.pem'}")
    out(f'  est = "{loaded.address}"')
    out(f"run\n  camward enroll --config agent.toml --serial {arguments.serial}")
    out("and type the code when it asks; a script gives it over standard input, systemd as the credential `claim`")
    return OK


def devices(arguments: argparse.Namespace, out: Out) -> int:
    """List the devices."""
    _, registry, _ = _open(arguments.dir)
    listed = []
    for device in registry.devices():
        certificates = registry.valid_certificates(device.id, _now())
        ends_at = certificates[-1].not_valid_after_utc if certificates else None
        listed.append((device, ends_at))
    if arguments.json:
        _json(
            out,
            devices=[
                {
                    "id": device.id,
                    "serial": device.serial,
                    "label": device.label,
                    "state": device.state,
                    "certificate_ends_at": int(ends_at.timestamp()) if ends_at else None,
                }
                for device, ends_at in listed
            ],
        )
        return OK
    if not listed:
        out("no devices yet; `camward fleet claim --serial SERIAL` makes the code for one")
        return OK
    rows = [("ID", "SERIAL", "LABEL", "STATE", "CERTIFICATE ENDS")]
    for device, ends_at in listed:
        rows.append((device.id, device.serial, device.label, device.state, f"{ends_at:%F %R}" if ends_at else "-"))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        out("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
    return OK


def revoke(arguments: argparse.Namespace, out: Out) -> int:
    """Revoke a device."""
    _, registry, _ = _open(arguments.dir)
    device = registry.device(arguments.device)
    if not arguments.yes:
        if sys.stdin is None or not sys.stdin.isatty():
            raise FleetError("nobody is there to confirm: add --yes")
        if not _confirmed(f"revoke {device.label} ({device.serial}) for good? It must be enrolled anew. [y/N] "):
            out("nothing was changed")
            return FAULT
    registry.revoke(device.id, _now())
    out(f"revoked {device.label}; a fleet that is being served ends its connections within seconds")
    return OK


def grant(arguments: argparse.Namespace, out: Out) -> int:
    """Let a person or an app watch, and give what they sign in with."""
    loaded, _, people = _open(arguments.dir)
    device = EVERY_DEVICE if arguments.device == "all" else arguments.device
    scope = frozenset(arguments.scope.replace(",", " ").split())
    people.permit(arguments.name, device=device, scope=scope, is_app=arguments.app, now=_now())
    if arguments.app:
        path = loaded.directory / "apps" / f"{arguments.name}.pem"
        leaf = loaded.ensure_leaf(Role.APP, arguments.name, path, _now())
        ends_at = leaf.chain[0].not_valid_after_utc
        if arguments.json:
            _json(out, name=arguments.name, file=str(path), ends_at=int(ends_at.timestamp()))
        else:
            out(f"{path} is the key and the certificate of {arguments.name}, until {ends_at:%F}: keep it as a secret")
        return OK
    code = people.new_code(arguments.name, _now())
    if arguments.json:
        _json(out, name=arguments.name, code=code)
        return OK
    out(f"code    {code}    once, within 15 minutes")
    out(f"page    {loaded.address}/, or http://localhost:{loaded.ports.page}/ here")
    return OK


def withdraw(arguments: argparse.Namespace, out: Out) -> int:
    """Let a person or an app watch no more."""
    _, _, people = _open(arguments.dir)
    device = EVERY_DEVICE if arguments.device == "all" else arguments.device
    people.withdraw(arguments.name, device=device, now=_now())
    out(f"{arguments.name} may not watch any more; a fleet that is being served ends their sessions within seconds")
    return OK


def serve(arguments: argparse.Namespace, out: Out) -> int:
    """Serve the fleet until SIGINT or SIGTERM."""
    from provisioning.serve import FleetService, Options

    def say(line: str) -> None:
        out(clock_line(line))

    async def run() -> None:
        stop, loop = asyncio.Event(), asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, stop.set)
        loaded = store.load(arguments.dir)
        service = FleetService(loaded, Options(broker=arguments.broker), say)
        await service.run(stop, lambda: say(f"serving {loaded.directory}: {_where(loaded)}"))
        say("ended")

    asyncio.run(run())
    return OK


def _confirmed(question: str) -> bool:
    try:
        return input(question).strip().lower() in {"y", "yes"}
    except EOFError:
        return False


def _where(loaded: Fleet) -> str:
    ports = loaded.ports
    return f"EST, API and page on {ports.https}, page on localhost:{ports.page}, broker on {ports.broker}"


def _open(directory: Path) -> tuple[Fleet, Registry, People]:
    loaded = store.load(directory)
    registry = Registry(loaded.registry_url)
    return loaded, registry, People(registry.engine)


def clock_line(line: str) -> str:
    """Put the time of day before a line, for people; what strangers put into it stays in that line."""
    return f"{datetime.now():%H:%M:%S}  {printable(line)}"  # in their own time


def _json(out: Out, **members: Any) -> None:
    out(json.dumps(members))


def _now() -> datetime:
    return datetime.now(UTC)

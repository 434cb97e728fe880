"""A ready fleet in a temporary directory, certificates of every role, and its EST service on real TLS."""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from aiohttp import web
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from protocol.names import Role
from provisioning import ca, store, tls
from provisioning.est import Enrolment
from provisioning.files import Leaf, write_leaf
from provisioning.registry import Registry
from provisioning.store import Fleet

DEVICE = "aaaaaaaaaaaaaaaaaaaaaaaaaa"
OTHER_DEVICE = "bbbbbbbbbbbbbbbbbbbbbbbbbb"


def utc_now() -> datetime:
    return datetime.now(UTC)


def new_key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


def make_fleet(directory: Path, now: datetime | None = None) -> Fleet:
    """Make a fleet that is reached as localhost and 127.0.0.1."""
    return store.create(directory, names=["localhost", "127.0.0.1"], now=now or utc_now())


def issue_leaf(fleet: Fleet, role: Role, name: str, now: datetime | None = None, life: timedelta | None = None) -> Leaf:
    """Issue a leaf with a new key past the registry, and write it to leaves/<role>-<name>.pem."""
    key, authority = new_key(), fleet.authority_for(role)
    certificate = ca.sign(
        key.public_key(),
        role=role,
        name=name,
        issuer=authority,
        now=now or utc_now(),
        life=life,
        dns_names=("localhost",) if role is Role.SERVER else (),
        ip_addresses=(ipaddress.ip_address("127.0.0.1"),) if role is Role.SERVER else (),
    )
    path = fleet.directory / "leaves" / f"{role}-{name}.pem"
    leaf = Leaf(path=path, key=key, chain=(certificate, authority.certificate))
    write_leaf(leaf)
    return leaf


@dataclass(frozen=True, slots=True, kw_only=True)
class EnrolledDevice:
    """A device in the registry with both of its certificates."""

    id: str
    birth: Leaf
    operational: Leaf


def enrol(fleet: Fleet, registry: Registry, serial: str, now: datetime | None = None) -> EnrolledDevice:
    """Enrol a device in the registry without a network; files go to leaves/."""
    now = now or utc_now()
    claim = registry.claim(serial, serial, now)

    def signed(role: Role, key: ec.EllipticCurvePrivateKey) -> Callable[[str], x509.Certificate]:
        issuer = fleet.authority_for(role)
        return lambda device: ca.sign(key.public_key(), role=role, name=device, issuer=issuer, now=now)

    def leaf(role: Role, key: ec.EllipticCurvePrivateKey, certificate: x509.Certificate) -> Leaf:
        path = fleet.directory / "leaves" / f"{role}-{claim.device}.pem"
        made = Leaf(path=path, key=key, chain=(certificate, fleet.authority_for(role).certificate))
        write_leaf(made)
        return made

    birth_key, key = new_key(), new_key()
    birth = registry.redeem(claim.code, serial, birth_key.public_key(), now, signed(Role.BIRTH, birth_key))
    operational = registry.operational(birth, key.public_key(), now, signed(Role.DEVICE, key))
    return EnrolledDevice(
        id=claim.device,
        birth=leaf(Role.BIRTH, birth_key, birth),
        operational=leaf(Role.DEVICE, key, operational),
    )


@contextlib.contextmanager
def serving_est(fleet: Fleet, registry: Registry, clock: Callable[[], datetime] = utc_now) -> Iterator[str]:
    """Serve EST on a free port of 127.0.0.1 from a thread of its own; give its address.

    The server's certificate is of the real time, whatever `clock` says to the service.
    """
    started = threading.Event()
    loop = asyncio.new_event_loop()
    address = ""

    async def serve() -> None:
        nonlocal address
        app = web.Application()
        app.add_routes(Enrolment(fleet, registry, clock).routes())
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls.server_context(fleet, utc_now()))
        await site.start()
        address = f"https://127.0.0.1:{runner.addresses[0][1]}"
        stopped = asyncio.Event()
        loops["stop"] = lambda: loop.call_soon_threadsafe(stopped.set)
        started.set()
        await stopped.wait()
        await runner.cleanup()

    loops: dict[str, Callable[[], object]] = {}
    thread = threading.Thread(target=loop.run_until_complete, args=(serve(),), name="est", daemon=True)
    thread.start()
    if not started.wait(10):
        raise RuntimeError("the EST service did not start")
    try:
        yield address
    finally:
        loops["stop"]()
        thread.join(10)
        loop.close()

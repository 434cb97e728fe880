"""coturn, Debian's package, in a network of its own: STUN and TURN over UDP, TCP and TLS, with a shared secret."""

from __future__ import annotations

import contextlib
import ipaddress
import re
import socket
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import ec

from protocol.ice import short_lived
from protocol.names import Role
from provisioning import ca
from provisioning.files import Leaf, write_leaf
from provisioning.store import Fleet
from tests.kit.link import Namespace

SECRET = "a-secret-of-coturn-and-whoever-makes-credentials"


@dataclass(frozen=True, slots=True, kw_only=True)
class Coturn:
    """A server that runs, and who vouches for it."""

    address: str
    ports: tuple[int, int]
    ca: Path
    log: Path

    def passwords(self) -> dict[str, str]:
        """Those of everybody who was let in so far, by user name."""
        names = set(re.findall(r"username=<([0-9]+:[^>]+)>", self.log.read_text(errors="replace")))
        credentials = (
            short_lived(SECRET, name=name.partition(":")[2], until_s=int(name.partition(":")[0])) for name in names
        )
        return {one.username: one.password for one in credentials}

    @property
    def stun(self) -> str:
        return f"stun:{self.address}:{self.ports[0]}"

    def turn(self, way: str = "udp") -> str:
        """Its URL for `udp`, `tcp` or `tls`."""
        if way == "tls":
            return f"turns:{self.address}:{self.ports[1]}"
        return f"turn:{self.address}:{self.ports[0]}?transport={way}"


@contextlib.contextmanager
def coturn(
    address: str,
    fleet: Fleet,
    directory: Path,
    *,
    place: Namespace | None = None,
    ports: tuple[int, int] = (3478, 5349),
) -> Iterator[Coturn]:
    """Serve at one address, of a network of its own or of this machine, until the end.

    `ports` are that of UDP and TCP, and that of TLS, for which it has a certificate of the fleet.
    """
    directory.mkdir()
    certificate = _certificate(fleet, address, directory)
    configuration = directory / "turnserver.conf"
    configuration.touch(mode=0o600)
    configuration.write_text(f"static-auth-secret={SECRET}\n")  # which is no one's business on a command line
    log = directory / "coturn.log"
    options = [
        *("-c", str(configuration)),
        "--no-cli",
        "--no-dtls",
        "--fingerprint",
        "--realm=camward.test",
        "--use-auth-secret",
        f"--listening-ip={address}",
        f"--relay-ip={address}",
        f"--listening-port={ports[0]}",
        f"--tls-listening-port={ports[1]}",
        f"--cert={certificate}",
        f"--pkey={certificate}",
        f"--userdb={directory / 'turndb'}",
        f"--pidfile={directory / 'pid'}",
        "--log-file=stdout",
        "--verbose",
    ]
    with log.open("wb") as out:
        command = ["stdbuf", "-oL", "turnserver", *options]  # else its log is written in blocks
        process = subprocess.Popen(place.command(*command) if place else command, stdout=out, stderr=subprocess.STDOUT)
    try:
        with contextlib.nullcontext() if place is None else place.entered():
            _wait(address, ports[1])
        yield Coturn(address=address, ports=ports, ca=fleet.directory / "root.pem", log=log)
    finally:
        process.terminate()
        process.wait()


def _certificate(fleet: Fleet, address: str, directory: Path) -> Path:
    key, authority = ec.generate_private_key(ec.SECP256R1()), fleet.authority_for(Role.SERVER)
    leaf = ca.sign(
        key.public_key(),
        role=Role.SERVER,
        name="turn",
        issuer=authority,
        now=datetime.now(UTC),
        dns_names=(),
        ip_addresses=(ipaddress.ip_address(address),),
    )
    path = directory / "turn.pem"
    write_leaf(Leaf(path=path, key=key, chain=(leaf, authority.certificate)))
    return path


def _wait(address: str, port: int) -> None:
    """Wait until it takes connections: it opens its sockets one after another, TLS last."""
    while True:
        with contextlib.suppress(OSError), socket.create_connection((address, port), timeout=1):
            return
        time.sleep(0.05)

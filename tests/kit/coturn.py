"""coturn, Debian's package, in a network of its own: STUN and TURN over UDP, TCP and TLS, with a shared secret."""

from __future__ import annotations

import contextlib
import ipaddress
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import ec

from protocol.names import Role
from provisioning import ca
from provisioning.files import Leaf, write_leaf
from provisioning.store import Fleet
from tests.kit.link import Namespace

PORT, TLS_PORT = 3478, 5349
SECRET = "a secret of coturn and whoever makes credentials"


@dataclass(frozen=True, slots=True, kw_only=True)
class Coturn:
    """A server that runs, and who vouches for it."""

    address: str
    ca: Path
    log: Path

    @property
    def stun(self) -> str:
        return f"stun:{self.address}:{PORT}"

    def turn(self, way: str = "udp") -> str:
        """Its URL for `udp`, `tcp` or `tls`."""
        if way == "tls":
            return f"turns:{self.address}:{TLS_PORT}"
        return f"turn:{self.address}:{PORT}?transport={way}"


@contextlib.contextmanager
def coturn(place: Namespace, address: str, fleet: Fleet, directory: Path) -> Iterator[Coturn]:
    """Serve at one address of a network, with a certificate of a fleet for it, until the end."""
    directory.mkdir()
    certificate = _certificate(fleet, address, directory)
    log = directory / "coturn.log"
    options = [
        "-n",  # no configuration file
        "--no-cli",
        "--no-dtls",
        "--fingerprint",
        "--realm=camward.test",
        "--use-auth-secret",
        f"--static-auth-secret={SECRET}",
        f"--listening-ip={address}",
        f"--relay-ip={address}",
        f"--listening-port={PORT}",
        f"--tls-listening-port={TLS_PORT}",
        f"--cert={certificate}",
        f"--pkey={certificate}",
        f"--userdb={directory / 'turndb'}",
        f"--pidfile={directory / 'pid'}",
        "--log-file=stdout",
        "--verbose",
    ]
    with log.open("wb") as out:
        process = subprocess.Popen(place.command("turnserver", *options), stdout=out, stderr=subprocess.STDOUT)
    try:
        yield Coturn(address=address, ca=fleet.directory / "root.pem", log=log)
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

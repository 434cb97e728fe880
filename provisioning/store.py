"""The fleet's directory: made once and whole, then read; leaves of the fleet's own are renewed in place.

root.pem root.key            the root; its key is to be taken offline after `create`
issuing/<issuer>.pem .key    the issuing CAs; <issuer>.anchor.pem is the same one signed by itself
server.pem                   and every other leaf of the fleet's own: key, leaf and issuing CA in one file
registry.sqlite, fleet.toml
"""

from __future__ import annotations

import ipaddress
import json
import re
import shutil
import tempfile
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from protocol.names import ISSUER_OF, Issuer, Role
from provisioning import ca
from provisioning.ca import Authority, IPAddress
from provisioning.files import FleetError, Leaf, key_pem, pem, read_leaf, sync_directory, write_atomic, write_leaf
from provisioning.ice import IceServers, read_ice

RENEW_AT: Final = 3  # a leaf of the fleet's own is renewed when a third of its life is left
_DNS_LABEL: Final = r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?"
_DNS_NAME: Final = re.compile(rf"(?=.{{1,253}}$){_DNS_LABEL}(\.{_DNS_LABEL})*")


@dataclass(frozen=True, slots=True, kw_only=True)
class Ports:
    """Where the fleet listens."""

    https: int = 8443  # EST, the API, and the page for everyone else
    page: int = 8080  # the page on localhost, without TLS
    broker: int = 8883


@dataclass(frozen=True, slots=True, kw_only=True)
class Fleet:
    """A fleet's directory, read."""

    directory: Path
    names: tuple[str, ...]  # DNS names and addresses of the server certificate
    ports: Ports
    ice: IceServers
    root: x509.Certificate
    authorities: Mapping[Issuer, Authority]

    @property
    def address(self) -> str:
        """Where devices and people reach it: under the first of its names."""
        return f"https://{in_url(self.names[0])}:{self.ports.https}"

    @property
    def registry_url(self) -> str:
        """SQLAlchemy's address of the registry."""
        return f"sqlite:///{(self.directory / 'registry.sqlite').absolute()}"

    def authority_for(self, role: Role) -> Authority:
        """Give the one issuing CA that may sign leaves of `role`."""
        return self.authorities[ISSUER_OF[role]]

    def anchor_path(self, issuer: Issuer) -> Path:
        """Where the self-signed form of an issuing CA stands."""
        return self.directory / "issuing" / f"{issuer}.anchor.pem"

    def anchors_pem(self, *issuers: Issuer) -> str:
        """Give the trust anchors of these kinds of client as PEM, one after another."""
        return "".join(self.anchor_path(issuer).read_text("ascii") for issuer in issuers)

    def ensure_server(self, now: datetime) -> Leaf:
        """Give server.pem, made or renewed if need be."""
        return self.ensure_leaf(Role.SERVER, "fleet", self.directory / "server.pem", now)

    def ensure_authoriser(self, now: datetime) -> Leaf:
        """Give authoriser.pem, which signs grants, made or renewed if need be."""
        return self.ensure_leaf(Role.AUTHORISER, "fleet", self.directory / "authoriser.pem", now)

    def ensure_gateway(self, now: datetime) -> Leaf:
        """Give gateway.pem, the gateway's way to the broker, made or renewed if need be."""
        return self.ensure_leaf(Role.SERVICE, "gateway", self.directory / "gateway.pem", now)

    def ensure_leaf(self, role: Role, name: str, path: Path, now: datetime) -> Leaf:
        """Give the leaf at `path`: a new one with a new key when a third of its life is left, or its names changed.

        Errors: FleetError.
        """
        authority = self.authority_for(role)
        dns_names, addresses = _split(self.names) if role is Role.SERVER else ((), ())
        if path.exists():
            present = read_leaf(path)
            if _still_good(present.chain[0], authority, (*dns_names, *addresses), now):
                return present
        key = ec.generate_private_key(ec.SECP256R1())
        leaf = ca.sign(
            key.public_key(),
            role=role,
            name=name,
            issuer=authority,
            now=now,
            dns_names=dns_names,
            ip_addresses=addresses,
        )
        made = Leaf(path=path, key=key, chain=(leaf, authority.certificate))
        write_leaf(made)
        return made


def create(directory: Path, *, names: Sequence[str], now: datetime, ports: Ports | None = None) -> Fleet:
    """Make a fleet whole or not at all. Errors: FleetError, also where one stands already."""
    names = tuple(name.lower() for name in names)
    if not names:
        raise FleetError("a fleet needs a name or an address under which its devices reach it")
    _split(names)
    try:
        if directory.exists() and (not directory.is_dir() or any(directory.iterdir())):
            raise FleetError(f"{directory} is in use, and a fleet is never overwritten: choose another directory")
        directory.parent.mkdir(parents=True, exist_ok=True)
        new = Path(tempfile.mkdtemp(prefix=f".{directory.name}-", dir=directory.parent))  # 0700
        try:
            _write_fleet(new, names, ports or Ports(), now)
            new.rename(directory)
        finally:
            shutil.rmtree(new, ignore_errors=True)
        sync_directory(directory.parent)
    except OSError as error:
        raise FleetError(f"{directory} cannot be made: {error.strerror}") from error
    return load(directory)


def load(directory: Path) -> Fleet:
    """Read a fleet. Errors: FleetError."""
    try:
        settings = tomllib.loads((directory / "fleet.toml").read_text("utf-8"))
        return Fleet(
            directory=directory,
            names=_names(settings),
            ports=_ports(settings),
            ice=read_ice(settings.get("ice", {}), directory),
            root=x509.load_pem_x509_certificate((directory / "root.pem").read_bytes()),
            authorities={issuer: _read_authority(directory / "issuing" / issuer) for issuer in Issuer},
        )
    except FileNotFoundError as error:
        whole = (directory / "fleet.toml").exists()
        wanted = "restore it from a copy" if whole else f"`camward fleet init --dir {directory}` makes a fleet"
        raise FleetError(f"{error.filename} is missing: {wanted}") from error
    except OSError as error:
        raise FleetError(f"{error.filename} cannot be read ({error.strerror}): check --dir") from error
    except (KeyError, TypeError, ValueError) as error:
        raise FleetError(f"{directory} is damaged ({error}): restore it from a copy") from error


def _write_fleet(directory: Path, names: tuple[str, ...], ports: Ports, now: datetime) -> None:
    (directory / "issuing").mkdir(mode=0o700)
    root = ca.make_root(now)
    write_atomic(directory / "root.key", key_pem(root.key))
    write_atomic(directory / "root.pem", pem(root.certificate), 0o644)
    for issuer in Issuer:
        authority = ca.make_issuer(issuer, root, now)
        path = directory / "issuing" / issuer
        write_atomic(path.with_suffix(".key"), key_pem(authority.key))
        write_atomic(path.with_suffix(".pem"), pem(authority.certificate), 0o644)
        write_atomic(path.with_suffix(".anchor.pem"), pem(ca.anchor(authority, now)), 0o644)
    lines = [f"names = {json.dumps(names)}", "", "[ports]"]
    lines += [f"{name} = {port}" for name, port in asdict(ports).items()]
    write_atomic(directory / "fleet.toml", "\n".join([*lines, ""]).encode())
    sync_directory(directory)


def _read_authority(path: Path) -> Authority:
    certificate = x509.load_pem_x509_certificate(path.with_suffix(".pem").read_bytes())
    key = load_pem_private_key(path.with_suffix(".key").read_bytes(), None)
    if not isinstance(key, ec.EllipticCurvePrivateKey) or key.public_key() != certificate.public_key():
        raise ValueError(f"{path.name}.key is not the key of {path.name}.pem")
    return Authority(certificate=certificate, key=key)


def _names(settings: Mapping[str, Any]) -> tuple[str, ...]:
    names = settings["names"]
    if not isinstance(names, list) or not names or not all(isinstance(name, str) for name in names):
        raise ValueError("names in fleet.toml is a list of one string or more")
    _split(names)
    return tuple(names)


def _ports(settings: Mapping[str, Any]) -> Ports:
    ports = Ports(**settings["ports"])
    for name, port in asdict(ports).items():
        if type(port) is not int or not 1 <= port <= 65535:
            raise ValueError(f"{name} in fleet.toml is {port!r}, and a port is 1 to 65535")
    return ports


def in_url(host: str) -> str:
    """Say a name or an address as it stands in a URL (RFC 3986, section 3.2.2)."""
    return f"[{host}]" if ":" in host else host


def _split(names: Sequence[str]) -> tuple[tuple[str, ...], tuple[IPAddress, ...]]:
    dns_names, addresses = [], []
    for name in names:
        try:
            addresses.append(ipaddress.ip_address(name))
        except ValueError:
            if not _DNS_NAME.fullmatch(name):
                raise FleetError(f"{name!r} is neither a DNS name nor an address") from None
            dns_names.append(name)
    return tuple(dns_names), tuple(addresses)


def _still_good(leaf: x509.Certificate, authority: Authority, names: Sequence[str | IPAddress], now: datetime) -> bool:
    alternative = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    present = [*alternative.get_values_for_type(x509.DNSName), *alternative.get_values_for_type(x509.IPAddress)]
    life = leaf.not_valid_after_utc - leaf.not_valid_before_utc
    same = leaf.issuer == authority.certificate.subject and present == list(names)
    return same and leaf.not_valid_after_utc - now > life / RENEW_AT

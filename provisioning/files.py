"""Files of the fleet: written whole or not at all, and a key with its chain in one of them."""

from __future__ import annotations

import contextlib
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_private_key


class FleetError(Exception):
    """The fleet's files cannot be made or used; one line that says what to do."""


class PortTaken(FleetError):
    """Something else listens on a port that is wanted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Leaf:
    """A key with its chain, leaf first, as the one file at `path` has them."""

    path: Path
    key: ec.EllipticCurvePrivateKey
    chain: tuple[x509.Certificate, ...]


def write_leaf(leaf: Leaf) -> None:
    """Write key and chain into one file, so that one rename swaps both."""
    leaf.path.parent.mkdir(mode=0o700, exist_ok=True)
    write_atomic(leaf.path, key_pem(leaf.key) + pem(*leaf.chain))


def read_leaf(path: Path) -> Leaf:
    """Read a key and its chain. Errors: FleetError."""
    try:
        content = path.read_bytes()
        key = load_pem_private_key(content, None)
        chain = tuple(x509.load_pem_x509_certificates(content))
    except (OSError, ValueError, TypeError) as error:
        raise FleetError(f"{path} is no key with its certificates ({error}): remove it to have a new one") from error
    if not isinstance(key, ec.EllipticCurvePrivateKey) or chain[0].public_key() != key.public_key():
        raise FleetError(f"{path} has a key that its certificate is not for: remove it to have a new one")
    return Leaf(path=path, key=key, chain=chain)


def write_atomic(path: Path, content: bytes, mode: int = 0o600) -> None:
    """Replace `path` so that a loss of power leaves the old content or the new one, whole."""
    with tempfile.NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}-", delete=False) as file:
        try:
            os.fchmod(file.fileno(), mode)
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
            Path(file.name).rename(path)
        except BaseException:
            with contextlib.suppress(FileNotFoundError):
                Path(file.name).unlink()
            raise
    sync_directory(path.parent)


def sync_directory(path: Path) -> None:
    """Make names in a directory survive a loss of power."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def key_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    """Say a private key as PEM (PKCS8, not encrypted: the file's mode guards it)."""
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def pem(*certificates: x509.Certificate) -> bytes:
    """Say certificates as PEM, one after another."""
    return b"".join(certificate.public_bytes(Encoding.PEM) for certificate in certificates)

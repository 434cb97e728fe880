"""What the device keeps of its identity: three files, each a key and, once the fleet has answered, its chain."""

from __future__ import annotations

import contextlib
import enum
import fcntl
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_private_key

from agent.identity import files
from agent.identity.errors import Damaged, EnrollmentError

_BEGIN_CERTIFICATE = b"-----BEGIN CERTIFICATE-----"


class Slot(enum.StrEnum):
    """The files; one rename swaps a key together with its certificate."""

    BIRTH = "birth.pem"
    OPERATIONAL = "operational.pem"
    NEXT = "operational.next.pem"  # becomes operational.pem once an MQTT connection with it has stood


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """A key and its chain, leaf first; no chain yet means asked, and not answered."""

    path: Path
    key: ec.EllipticCurvePrivateKey
    chain: tuple[x509.Certificate, ...]


class KeyStore:
    """The identity's directory, mode 0700, files 0600."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    @contextlib.contextmanager
    def exclusive(self) -> Iterator[None]:
        """Make the directory if need be, and keep other processes from changing it. Errors: EnrollmentError."""
        try:
            self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            descriptor = os.open(self._directory, os.O_RDONLY | os.O_DIRECTORY)
        except OSError as error:
            raise EnrollmentError(
                f"{self._directory} cannot be used ({error.strerror}): run this as the user that owns it"
            ) from error
        try:
            _lock(descriptor, self._directory)
            yield
        finally:
            os.close(descriptor)

    def read(self, slot: Slot) -> Kept | None:
        """Read a file; None when there is none. Errors: Damaged."""
        path = self._directory / slot
        try:
            pem = path.read_bytes()
            key = load_pem_private_key(pem, None)
            chain = tuple(x509.load_pem_x509_certificates(pem)) if _BEGIN_CERTIFICATE in pem else ()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise Damaged(f"{path} cannot be read ({error.strerror}): run this as the user that owns it") from error
        except (ValueError, TypeError) as error:
            raise Damaged(f"{path} is damaged: remove it and enrol again") from error
        if not isinstance(key, ec.EllipticCurvePrivateKey) or (chain and chain[0].public_key() != key.public_key()):
            raise Damaged(f"{path} has a key that its certificate is not for: remove it and enrol again")
        return Kept(path=path, key=key, chain=chain)

    def write(self, slot: Slot, key: ec.EllipticCurvePrivateKey, chain: Sequence[x509.Certificate] = ()) -> Kept:
        """Replace a file; it is on the disk when this returns. Errors: EnrollmentError."""
        path = self._directory / slot
        pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        pem += b"".join(certificate.public_bytes(Encoding.PEM) for certificate in chain)
        with _writing(path):
            files.write_atomic(path, pem)
        return Kept(path=path, key=key, chain=tuple(chain))

    def new_key(self, slot: Slot) -> Kept:
        """Make a P-256 key and keep it before anybody hears of it. Errors: EnrollmentError."""
        return self.write(slot, ec.generate_private_key(ec.SECP256R1()))

    def promote(self) -> None:
        """Put the next certificate, with its key, in the place of the operational one. Errors: EnrollmentError."""
        target = self._directory / Slot.OPERATIONAL
        with _writing(target):
            files.replace(self._directory / Slot.NEXT, target)

    def remove(self, slot: Slot) -> None:
        """Remove a file if it is there. Errors: EnrollmentError."""
        path = self._directory / slot
        with _writing(path):
            files.remove(path)


def _lock(descriptor: int, directory: Path) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise EnrollmentError(f"{directory} is in use by another enrolment: wait for its end") from error


@contextlib.contextmanager
def _writing(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise EnrollmentError(f"{path} cannot be written: {error.strerror}") from error

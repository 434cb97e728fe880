"""The registry's certificates, inside a transaction of the caller: issue, look up, supersede, revoke.

Of a device's operational certificates at most two are valid: the one in use, and a newer one that was not used yet.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from sqlalchemy import Connection, Row, select

from protocol.names import Role
from provisioning.database import record, seconds
from provisioning.tables import certificates

Sign = Callable[[str], x509.Certificate]
"""Signs a certificate for the device id that it is given."""


def issue(
    transaction: Connection, device: str, role: Role, key: ec.EllipticCurvePublicKey, now: datetime, sign: Sign
) -> x509.Certificate:
    """Give the newest valid certificate if it is for this key, else a new one."""
    valid = valid_of(transaction, device, role, now)
    if valid and valid[-1].spki_sha256 == spki_sha256(key):
        return x509.load_der_x509_certificate(valid[-1].der)
    set_state(transaction, valid[1:], "superseded")  # valid[0] is in use; what came after it never was
    certificate = sign(device)
    newest = max((row.issued_at for row in valid), default=0)
    transaction.execute(
        certificates.insert().values(
            serial_hex=_hex(certificate.serial_number),
            device=device,
            role=role,
            spki_sha256=spki_sha256(key),
            der=certificate.public_bytes(Encoding.DER),
            state="valid",
            not_after=seconds(certificate.not_valid_after_utc),
            issued_at=max(seconds(now), newest + 1),  # strictly rising, so that there is always one newest
        )
    )
    kind = "enrolled" if role is Role.BIRTH else "certified"
    record(transaction, now, device, kind, f"a {role} certificate until {certificate.not_valid_after_utc:%F %R} UTC")
    return certificate


def valid_of(transaction: Connection, device: str, role: Role, now: datetime) -> Sequence[Row[Any]]:
    """Give the rows of a device's valid certificates of `role`, the newest last."""
    columns = certificates.c
    query = select(certificates).where(columns.device == device, columns.role == role, columns.state == "valid")
    return transaction.execute(query.where(columns.not_after >= seconds(now)).order_by(columns.issued_at)).all()


def by_serial(transaction: Connection, serial: int) -> Row[Any] | None:
    """Look a certificate up by its serial number."""
    query = select(certificates).where(certificates.c.serial_hex == _hex(serial))
    return transaction.execute(query).one_or_none()


def set_state(transaction: Connection, rows: Sequence[Row[Any]], state: str) -> None:
    """Move these certificates to `state`."""
    serials = [row.serial_hex for row in rows]
    if serials:
        transaction.execute(certificates.update().where(certificates.c.serial_hex.in_(serials)).values(state=state))


def revoke_all(transaction: Connection, device: str) -> bool:
    """Revoke every certificate of a device, of either role; say whether there was one."""
    living = certificates.update().where(certificates.c.device == device, certificates.c.state != "revoked")
    return transaction.execute(living.values(state="revoked")).rowcount > 0


def withdrawn(transaction: Connection, now: datetime) -> list[int]:
    """Give the serial numbers of operational certificates that are superseded or revoked, and not ended yet."""
    columns = certificates.c
    query = select(columns.serial_hex).where(columns.role == Role.DEVICE, columns.state != "valid")
    rows = transaction.execute(query.where(columns.not_after >= seconds(now)).order_by(columns.serial_hex))
    return [int(row.serial_hex, 16) for row in rows]


def spki_sha256(key: ec.EllipticCurvePublicKey) -> bytes:
    """SHA-256 of a public key's SubjectPublicKeyInfo: what a code burns together with."""
    return hashlib.sha256(key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).digest()


def _hex(serial: int) -> str:
    return f"{serial:x}"

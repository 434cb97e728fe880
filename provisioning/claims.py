"""Claims, inside a transaction of the caller: one-time codes that let one piece of hardware enrol with one key."""

from __future__ import annotations

import base64
import hashlib
import secrets
from datetime import UTC, datetime, timedelta
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from sqlalchemy import Connection, select

from protocol.names import Role
from provisioning import issued
from provisioning.database import record, seconds
from provisioning.errors import ClaimRefused
from provisioning.issued import Sign
from provisioning.tables import claims, devices

CLAIM_LIFE: Final = timedelta(hours=24)
SAME_KEY: Final = timedelta(minutes=10)  # the reply was lost, and the device asks again (protocol.md, enrolment 3)
_CODE_BYTES: Final = 16
_GROUP: Final = 5


def new_code() -> str:
    """Make a code: 128 random bits as base32, in groups that people can read to each other."""
    letters = base64.b32encode(secrets.token_bytes(_CODE_BYTES)).decode().rstrip("=")
    return "-".join(letters[start : start + _GROUP] for start in range(0, len(letters), _GROUP))


def code_sha256(code: str) -> bytes:
    """Hash a code as it is kept; case, groups and spaces do not matter."""
    letters = "".join(character for character in code.upper() if character.isalnum())
    return hashlib.sha256(letters.encode()).digest()


def open_claim(transaction: Connection, device: str, code: str, expires_at: datetime) -> None:
    """Let `code` enrol `device` once; an earlier open code of it is closed."""
    close_claims(transaction, device)
    values = {"code_sha256": code_sha256(code), "device": device, "expires_at": seconds(expires_at)}
    transaction.execute(claims.insert().values(values))


def close_claims(transaction: Connection, device: str) -> None:
    """End the open codes of a device."""
    unused = claims.c.redeemed_at.is_(None)
    transaction.execute(claims.delete().where(claims.c.device == device, unused))


def redeem(
    transaction: Connection, code: str, serial: str, key: ec.EllipticCurvePublicKey, now: datetime, sign: Sign
) -> x509.Certificate | ClaimRefused:
    """Burn a code, or say why not: a refusal is given, not raised, so that its alarm is committed."""
    query = select(claims, devices.c.serial).join(devices).where(claims.c.code_sha256 == code_sha256(code))
    claim = transaction.execute(query).one_or_none()
    if claim is None:
        return ClaimRefused("there is no such code for this hardware: check both, or make a new code")
    if claim.serial != serial:
        record(transaction, now, claim.device, "alarm", "hardware with another serial showed a code")
        return ClaimRefused("there is no such code for this hardware: check both, or make a new code")
    if claim.redeemed_at is None:
        if claim.expires_at <= seconds(now):
            return ClaimRefused("the code has expired: make a new one")
        if issued.revoke_all(transaction, claim.device):
            record(transaction, now, claim.device, "revoked", "its certificates: it enrols anew with another code")
        burned = {"redeemed_at": seconds(now), "spki_sha256": issued.spki_sha256(key)}
        transaction.execute(claims.update().where(claims.c.code_sha256 == claim.code_sha256).values(burned))
        transaction.execute(devices.update().where(devices.c.id == claim.device).values(state="enrolled"))
        return issued.issue(transaction, claim.device, Role.BIRTH, key, now, sign)
    if claim.spki_sha256 != issued.spki_sha256(key):
        record(transaction, now, claim.device, "alarm", "a used code was shown again, with another key")
        return ClaimRefused("the code was used with another key: if that was not this device, revoke it")
    valid = issued.valid_of(transaction, claim.device, Role.BIRTH, now)
    in_time = now - datetime.fromtimestamp(claim.redeemed_at, UTC) <= SAME_KEY
    if not in_time or not valid or valid[-1].spki_sha256 != claim.spki_sha256:
        return ClaimRefused("the code was used before: make a new one")
    return x509.load_der_x509_certificate(valid[-1].der)

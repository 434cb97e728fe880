"""The registry: devices, claims, certificates and events.

Every method is one short transaction, synchronous, and safe from several threads and processes at once.
"""

from __future__ import annotations

import re
import secrets
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from sqlalchemy import Connection, Row, select

from protocol.names import Role, device_id
from provisioning import claims, issued
from provisioning.claims import CLAIM_LIFE
from provisioning.database import for_reading, open_engine, record, seconds
from provisioning.errors import CertificateRefused, ClaimRefused, RegistryError, Unknown
from provisioning.issued import Sign
from provisioning.tables import devices, events

MOST_EVENTS: Final = 1000
_SERIAL: Final = re.compile(r"[!-9;-~]{1,128}")  # printable, no space, no colon: it is a user name in HTTP Basic


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """A one-time code; it stands in clear only here, the registry keeps its hash."""

    code: str
    device: str
    expires_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Device:
    """A device as the registry knows it."""

    id: str
    serial: str  # the hardware's
    label: str
    state: str  # claimed, enrolled, revoked


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """What happened to a device, or to the fleet when `device` is None."""

    number: int
    at: datetime
    device: str | None
    kind: str
    note: str


class Registry:
    """The registry in the database at `url` (SQLAlchemy); `engine` is shared with what else is kept there."""

    def __init__(self, url: str) -> None:
        self.engine = open_engine(url)
        self._reading = for_reading(self.engine)

    def close(self) -> None:
        """Close every connection."""
        self.engine.dispose()

    def claim(self, serial: str, label: str, now: datetime, life: timedelta = CLAIM_LIFE) -> Claim:
        """Make a one-time code for the hardware `serial`, in the place of an unused one. Errors: RegistryError."""
        if not _SERIAL.fullmatch(serial):
            raise RegistryError("a serial is 1 to 128 printable ASCII characters, without a space and a colon")
        if not 0 < len(label) <= 128:
            raise RegistryError("a label has 1 to 128 characters")
        code, expires_at = claims.new_code(), now + life
        with self.engine.begin() as transaction:
            device = _claimed_device(transaction, serial, label, now)
            claims.open_claim(transaction, device, code, expires_at)
            record(transaction, now, device, "claimed", f"a code for {serial}, until {expires_at:%F %R} UTC")
        return Claim(code=code, device=device, expires_at=expires_at)

    def redeem(
        self, code: str, serial: str, key: ec.EllipticCurvePublicKey, now: datetime, sign: Sign
    ) -> x509.Certificate:
        """Burn a code together with `key`, and give the birth certificate that `sign` makes for its device.

        The same key within claims.SAME_KEY gets the same certificate again. Certificates from before are revoked.
        Errors: ClaimRefused; a used code with another key, or from other hardware, is an alarm as well.
        """
        with self.engine.begin() as transaction:
            outcome = claims.redeem(transaction, code, serial, key, now, sign)
        if isinstance(outcome, ClaimRefused):
            raise outcome
        return outcome

    def operational(
        self, shown: x509.Certificate, key: ec.EllipticCurvePublicKey, now: datetime, sign: Sign
    ) -> x509.Certificate:
        """Give the device that shows a birth or operational certificate an operational one for `key`.

        The same key gets the same certificate as long as that is the newest. Errors: CertificateRefused, Unknown.
        """
        with self.engine.begin() as transaction:
            device = _shown(transaction, shown.serial_number, now).device
            return issued.issue(transaction, device, Role.DEVICE, key, now, sign)

    def check(self, serial: int, now: datetime) -> None:
        """Check that the certificate with this serial number is valid. Errors: CertificateRefused, Unknown."""
        with self._reading.begin() as transaction:
            _shown(transaction, serial, now)

    def seen(self, serial: int, now: datetime) -> None:
        """Note that an operational certificate is in use: if it is the newest, the older ones are superseded."""
        with self._reading.begin() as transaction:
            if not _older(transaction, serial, now):
                return  # by far the most frequent case, and it writes nothing
        with self.engine.begin() as transaction:
            issued.set_state(transaction, _older(transaction, serial, now), "superseded")

    def valid_certificates(self, device: str, now: datetime, role: Role = Role.DEVICE) -> list[x509.Certificate]:
        """Give a device's valid certificates, the newest last; none for a revoked or an unknown device."""
        with self._reading.begin() as transaction:
            rows = issued.valid_of(transaction, device, role, now)
        return [x509.load_der_x509_certificate(row.der) for row in rows]

    def withdrawn_serials(self, now: datetime) -> list[int]:
        """Give the serial numbers that a CRL of operational certificates lists: superseded or revoked."""
        with self._reading.begin() as transaction:
            return issued.withdrawn(transaction, now)

    def revoke(self, device: str, now: datetime) -> None:
        """Revoke a device with all its certificates and its open code; harmless twice. Errors: Unknown."""
        with self.engine.begin() as transaction:
            row = _device_row(transaction, device)
            if row.state == "revoked":
                return
            transaction.execute(devices.update().where(devices.c.id == device).values(state="revoked"))
            claims.close_claims(transaction, device)
            issued.revoke_all(transaction, device)
            record(transaction, now, device, "revoked", "the device and all its certificates")

    def devices(self) -> list[Device]:
        """List the devices by label."""
        with self._reading.begin() as transaction:
            rows = transaction.execute(select(devices).order_by(devices.c.label, devices.c.id)).all()
        return [_device(row) for row in rows]

    def device(self, device: str) -> Device:
        """Look a device up by its id. Errors: Unknown."""
        with self._reading.begin() as transaction:
            return _device(_device_row(transaction, device))

    def events_after(self, number: int) -> list[Event]:
        """Give what happened after the event `number` (0: from the start), oldest first, at most MOST_EVENTS."""
        query = select(events).where(events.c.number > number).order_by(events.c.number).limit(MOST_EVENTS)
        with self._reading.begin() as transaction:
            rows = transaction.execute(query).all()
        return [_event(row) for row in rows]


def _claimed_device(transaction: Connection, serial: str, label: str, now: datetime) -> str:
    row = transaction.execute(select(devices).where(devices.c.serial == serial)).one_or_none()
    if row is None:
        new = device_id(secrets.token_bytes(16))
        values = {"id": new, "serial": serial, "label": label, "state": "claimed", "created_at": seconds(now)}
        transaction.execute(devices.insert().values(values))
        return new
    state = "claimed" if row.state == "revoked" else row.state
    transaction.execute(devices.update().where(devices.c.id == row.id).values(label=label, state=state))
    return str(row.id)


def _shown(transaction: Connection, serial: int, now: datetime) -> Row[Any]:
    row = issued.by_serial(transaction, serial)
    if row is None:
        raise Unknown("this fleet's registry does not know the certificate: enrol the device with a new code")
    if row.state != "valid" or row.not_after < seconds(now):
        state = row.state if row.state != "valid" else "expired"
        raise CertificateRefused(f"the certificate is {state}: enrol the device with a new code")
    return row


def _older(transaction: Connection, serial: int, now: datetime) -> list[Row[Any]]:
    row = issued.by_serial(transaction, serial)
    if row is None or row.role != Role.DEVICE or row.state != "valid":
        return []
    valid = issued.valid_of(transaction, row.device, Role.DEVICE, now)
    return list(valid[:-1]) if valid and valid[-1].serial_hex == row.serial_hex else []


def _device_row(transaction: Connection, device: str) -> Row[Any]:
    row = transaction.execute(select(devices).where(devices.c.id == device)).one_or_none()
    if row is None:
        raise Unknown(f"there is no device {device}: `camward fleet devices` lists them")
    return row


def _device(row: Row[Any]) -> Device:
    return Device(id=row.id, serial=row.serial, label=row.label, state=row.state)


def _event(row: Row[Any]) -> Event:
    at = datetime.fromtimestamp(row.at, UTC)
    return Event(number=row.number, at=at, device=row.device, kind=row.kind, note=row.note)

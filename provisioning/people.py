"""People and apps: who may see which camera, one-time sign-in codes, and web sessions (SQLAlchemy Core).

Every method is one transaction, as in `provisioning.registry`, and a code or cookie in clear is only ever given back.
"""

from __future__ import annotations

import base64
import hashlib
import re
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import Connection, Engine, delete, select

from protocol.errors import Malformed
from protocol.messages import SCOPES
from protocol.names import check_caller, check_device_id
from provisioning.database import for_reading, record, seconds
from provisioning.tables import devices, people, permissions, sign_in_codes, web_sessions

CODE_LIFE: Final = timedelta(minutes=15)
SESSION_LIFE: Final = timedelta(hours=12)
EVERY_DEVICE: Final = "*"
WITHDRAWN: Final = "withdrawn"  # the kind of an event whose note begins with the person's name
MOST_SESSIONS: Final = 32  # of one person; the oldest is signed out
RESERVED: Final = frozenset({"gateway", "fleet"})  # the fleet's own names at the broker and in grants
_CODE_BYTES: Final = 10  # 80 bits and 15 minutes, behind a rate limit; short enough to be typed
_NOT_IN_A_CODE: Final = re.compile(r"[\s-]")


class PeopleError(Exception):
    """A name or a permission that cannot be; one line that says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Permission:
    """What one person may do with one device, or with every one (`*`)."""

    device: str
    scope: frozenset[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Permissions:
    """All that one person may do."""

    entries: tuple[Permission, ...]

    def allow(self, device: str, scope: str = "live") -> bool:
        """Decide whether `scope` of `device` is permitted."""
        return any(entry.device in {EVERY_DEVICE, device} and scope in entry.scope for entry in self.entries)


class People:
    """People in the registry's database; `engine` is `Registry.engine`."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._reading = for_reading(engine)

    def permit(self, name: str, *, device: str, scope: frozenset[str], is_app: bool, now: datetime) -> None:
        """Let `name`, new or known, do `scope` with `device` (`*` for all). Errors: PeopleError."""
        check_name(name)
        if not scope or not scope <= SCOPES:
            raise PeopleError(f"a scope is made of {', '.join(sorted(SCOPES))}")
        with self._engine.begin() as transaction:
            if device != EVERY_DEVICE and not transaction.scalar(select(devices.c.id).where(devices.c.id == device)):
                raise PeopleError(f"there is no device {device}; `camward fleet devices` lists them")
            known = transaction.execute(select(people).where(people.c.name == name)).one_or_none()
            if known is None:
                transaction.execute(people.insert().values(name=name, is_app=is_app, created_at=seconds(now)))
            elif known.is_app is not is_app:
                raise PeopleError(f"{name} is {'an app' if known.is_app else 'a person'}; choose another name")
            transaction.execute(delete(permissions).where(permissions.c.person == name, permissions.c.device == device))
            transaction.execute(permissions.insert().values(person=name, device=device, scope=" ".join(sorted(scope))))
            which = "every device" if device == EVERY_DEVICE else "this device"
            note = f"{name} may use {which}: {' '.join(sorted(scope))}"
            record(transaction, now, None if device == EVERY_DEVICE else device, "granted", note)

    def withdraw(self, name: str, *, device: str, now: datetime) -> None:
        """Let `name` do nothing more with `device` (`*` for all). Errors: PeopleError for who could do nothing."""
        of_device = (permissions.c.device == device,) if device != EVERY_DEVICE else ()
        with self._engine.begin() as transaction:
            gone = transaction.execute(
                delete(permissions).where(permissions.c.person == name, *of_device).returning(permissions.c.device)
            ).all()
            if not gone:
                raise PeopleError(f"{name} has no permission of that kind; one for all devices is withdrawn with `all`")
            which = "every device" if device == EVERY_DEVICE else "this device"
            where = None if device == EVERY_DEVICE else device
            record(transaction, now, where, WITHDRAWN, f"{name} may not use {which} any more")

    def permissions(self, name: str) -> Permissions:
        """Give what `name` may do; nothing for somebody unknown."""
        with self._reading.begin() as transaction:
            rows = transaction.execute(select(permissions).where(permissions.c.person == name))
            return Permissions(
                entries=tuple(Permission(device=row.device, scope=frozenset(row.scope.split(" "))) for row in rows)
            )

    def apps(self) -> list[str]:
        """List the apps: the names that have rules of their own at the broker."""
        with self._reading.begin() as transaction:
            query = select(people.c.name).where(people.c.is_app).order_by(people.c.name)
            return list(transaction.scalars(query))

    def new_code(self, name: str, now: datetime) -> str:
        """Make a one-time code to sign in with, `xxxx-xxxx-xxxx-xxxx`. Errors: PeopleError."""
        plain = base64.b32encode(secrets.token_bytes(_CODE_BYTES)).decode().lower()
        with self._engine.begin() as transaction:
            known = transaction.execute(select(people).where(people.c.name == name)).one_or_none()
            if known is None or known.is_app:
                raise PeopleError(f"{name} is nobody who signs in; `camward fleet grant {name} --device ...` first")
            _sweep(transaction, now)
            transaction.execute(
                sign_in_codes.insert().values(
                    code_sha256=_sha256(plain), person=name, expires_at=seconds(now + CODE_LIFE)
                )
            )
        return "-".join(plain[start : start + 4] for start in range(0, len(plain), 4))

    def sign_in(self, code: str, now: datetime) -> str | None:
        """Burn a code and give a new session's cookie; None if it opens nothing. Costs the same either way."""
        plain = _NOT_IN_A_CODE.sub("", code).lower()
        cookie = secrets.token_urlsafe(32)
        with self._engine.begin() as transaction:
            _sweep(transaction, now)
            burned = transaction.execute(
                delete(sign_in_codes)
                .where(sign_in_codes.c.code_sha256 == _sha256(plain))
                .returning(sign_in_codes.c.person)
            ).one_or_none()
            if burned is None:
                return None
            _make_room(transaction, burned.person)
            transaction.execute(
                web_sessions.insert().values(
                    cookie_sha256=_sha256(cookie), person=burned.person, expires_at=seconds(now + SESSION_LIFE)
                )
            )
        return cookie

    def person_of(self, cookie: str, now: datetime) -> str | None:
        """Say who is signed in with `cookie`, if anybody."""
        query = select(web_sessions.c.person).where(
            web_sessions.c.cookie_sha256 == _sha256(cookie), web_sessions.c.expires_at > seconds(now)
        )
        with self._reading.begin() as transaction:
            return transaction.scalar(query)

    def sign_out(self, cookie: str) -> None:
        """End a session. Harmless twice."""
        with self._engine.begin() as transaction:
            transaction.execute(delete(web_sessions).where(web_sessions.c.cookie_sha256 == _sha256(cookie)))


def check_name(name: str) -> str:
    """Give `name` back if a person or an app may have it. Errors: PeopleError.

    It stands in topics and broker rules, where a device's rules go by name: nobody may be named like a device.
    """
    try:
        check_caller(name)
    except Malformed as error:
        raise PeopleError(str(error)) from error
    if name in RESERVED:
        raise PeopleError(f"the name {name} is the fleet's own; choose another")
    try:
        check_device_id(name)
    except Malformed:
        return name
    raise PeopleError(f"the name {name} has the form of a device id; choose another")


def _make_room(transaction: Connection, name: str) -> None:
    newest = select(web_sessions.c.cookie_sha256).where(web_sessions.c.person == name)
    too_old = newest.order_by(web_sessions.c.expires_at.desc()).offset(MOST_SESSIONS - 1)
    transaction.execute(delete(web_sessions).where(web_sessions.c.cookie_sha256.in_(too_old)))


def _sweep(transaction: Connection, now: datetime) -> None:
    for table in (sign_in_codes, web_sessions):
        transaction.execute(delete(table).where(table.c.expires_at <= seconds(now)))


def _sha256(secret: str) -> bytes:
    return hashlib.sha256(secret.encode()).digest()

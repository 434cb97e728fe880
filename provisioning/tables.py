"""The registry's tables (SQLAlchemy Core): SQLite on one machine, PostgreSQL for a large fleet.

Codes and cookies are kept as SHA-256 hashes: they are random enough that a slow hash gains nothing.
Times are seconds since 1970.
"""

from __future__ import annotations

from sqlalchemy import Boolean, Column, ForeignKey, Index, Integer, LargeBinary, MetaData, String, Table

metadata = MetaData()

devices = Table(
    "devices",
    metadata,
    Column("id", String(26), primary_key=True),
    Column("serial", String(128), nullable=False, unique=True),  # the hardware's, as the claim named it
    Column("label", String(128), nullable=False),
    Column("state", String(16), nullable=False),  # claimed, enrolled, revoked
    Column("created_at", Integer, nullable=False),
)

claims = Table(
    "claims",
    metadata,
    Column("code_sha256", LargeBinary(32), primary_key=True),
    Column("device", ForeignKey("devices.id"), nullable=False),
    Column("expires_at", Integer, nullable=False),
    Column("redeemed_at", Integer),
    Column("spki_sha256", LargeBinary(32)),  # the one key that the code burned together with
)

certificates = Table(
    "certificates",
    metadata,
    Column("serial_hex", String(40), primary_key=True),
    Column("device", ForeignKey("devices.id"), nullable=False),
    Column("role", String(16), nullable=False),  # birth or device
    Column("spki_sha256", LargeBinary(32), nullable=False),
    Column("der", LargeBinary, nullable=False),
    Column("state", String(16), nullable=False),  # valid, superseded, revoked
    Column("not_after", Integer, nullable=False),
    Column("issued_at", Integer, nullable=False),
    Index("certificates_of_device", "device", "role", "state"),
)

people = Table(
    "people",
    metadata,
    Column("name", String(63), primary_key=True),
    Column("is_app", Boolean, nullable=False),  # an application with a certificate, else somebody who signs in
    Column("created_at", Integer, nullable=False),
)

permissions = Table(
    "permissions",
    metadata,
    Column("person", ForeignKey("people.name"), primary_key=True),
    Column("device", String(26), primary_key=True),  # a device id, or * for all of them
    Column("scope", String(128), nullable=False),
)

sign_in_codes = Table(
    "sign_in_codes",
    metadata,
    Column("code_sha256", LargeBinary(32), primary_key=True),
    Column("person", ForeignKey("people.name"), nullable=False),
    Column("expires_at", Integer, nullable=False),
)

web_sessions = Table(
    "web_sessions",
    metadata,
    Column("cookie_sha256", LargeBinary(32), primary_key=True),
    Column("person", ForeignKey("people.name"), nullable=False),
    Column("expires_at", Integer, nullable=False),
)

events = Table(
    "events",
    metadata,
    Column("number", Integer, primary_key=True, autoincrement=True),  # who watches the fleet asks for what is newer
    Column("at", Integer, nullable=False),
    Column("device", String(26)),
    Column("kind", String(32), nullable=False),  # claimed, enrolled, certified, alarm, revoked, granted
    Column("note", String(256), nullable=False),
)

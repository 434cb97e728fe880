"""The database under the registry: how it is opened, and the events that every transaction may write."""

from __future__ import annotations

import sqlite3
import time
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Connection, Engine, create_engine, event

from provisioning.tables import events, metadata

_MOST_NOTE: Final = 256
_WAIT_S: Final = 10.0


def open_engine(url: str) -> Engine:
    """Open the database, made if need be. SQLite syncs every commit, waits its turn, and readers never wait (WAL)."""
    engine = create_engine(url, connect_args={"timeout": _WAIT_S, "isolation_level": None})

    @event.listens_for(engine, "connect")
    def _configure(connection: sqlite3.Connection, _record: Any) -> None:
        _write_ahead(connection)
        connection.execute("PRAGMA synchronous=FULL")
        connection.execute("PRAGMA foreign_keys=ON")

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        # IMMEDIATE takes the write lock at once, so that no transaction fails half way because another one wrote.
        reads = connection.get_execution_options().get("reads", False)
        connection.exec_driver_sql("BEGIN" if reads else "BEGIN IMMEDIATE")

    metadata.create_all(engine)
    return engine


def for_reading(engine: Engine) -> Engine:
    """Give the same database for transactions that only read: they wait for no writer."""
    return engine.execution_options(reads=True)


def seconds(at: datetime) -> int:
    """Say a time as the tables have it: whole seconds since 1970."""
    return int(at.timestamp())


def record(transaction: Connection, now: datetime, device: str | None, kind: str, note: str) -> None:
    """Write an event as part of `transaction`; `kind` is one of those in `tables.events`."""
    values = {"at": seconds(now), "device": device, "kind": kind, "note": note[:_MOST_NOTE]}
    transaction.execute(events.insert().values(values))


def _write_ahead(connection: sqlite3.Connection) -> None:
    """Turn WAL on. SQLite's own timeout does not cover it when several processes open a new file at once."""
    ends_s = time.monotonic() + _WAIT_S
    while True:
        try:
            connection.execute("PRAGMA journal_mode=WAL")
        except sqlite3.OperationalError:
            if time.monotonic() > ends_s:
                raise
            time.sleep(0.02)
        else:
            return

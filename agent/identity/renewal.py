"""Renewal: a new key and a new certificate in time, in place of the old ones only after a connection has proven them.

asked     operational.next.pem has a key, and no answer yet: the next try asks with the same key
pending   operational.next.pem is whole: connect with it, then `promote`; or `withdraw` it where the broker refuses
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from agent.config import IdentityConfig
from agent.identity.errors import Damaged, EnrollmentError
from agent.identity.est import EstClient
from agent.identity.store import Kept, KeyStore, Slot
from protocol.certificates import role_of
from protocol.errors import Untrusted

RENEW_AT: Final = 2 / 3
JITTER: Final = 0.1  # of a life: a fleet that was enrolled in one hour does not renew in one hour


@dataclass(frozen=True, slots=True, kw_only=True)
class Credentials:
    """A key with its chain, leaf first, and the one PEM file that has both."""

    device_id: str
    key: ec.EllipticCurvePrivateKey
    chain: tuple[x509.Certificate, ...]
    path: Path

    @property
    def leaf(self) -> x509.Certificate:
        """The certificate of the device itself."""
        return self.chain[0]


def renew_at(certificate: x509.Certificate, jitter: float) -> datetime:
    """Say when to ask for the next one: at two thirds of the life, moved by `jitter` (-1 to 1) times 10 % of it."""
    life: timedelta = certificate.not_valid_after_utc - certificate.not_valid_before_utc
    return certificate.not_valid_before_utc + life * (RENEW_AT + JITTER * max(-1.0, min(1.0, jitter)))


class Renewal:
    """The operational certificate of one device, and the next one. Errors of every method: EnrollmentError."""

    def __init__(self, config: IdentityConfig) -> None:
        self._config = config
        self._store = KeyStore(config.directory)

    def current(self) -> Credentials:
        """Give the operational certificate that has proven itself (or that enrolment brought)."""
        kept = self._store.read(Slot.OPERATIONAL)
        if kept is None or not kept.chain:
            raise EnrollmentError(f"{self._config.directory} has no identity yet: run `camward enroll` with a code")
        return _credentials(kept)

    def pending(self) -> Credentials | None:
        """Give the next certificate, which a connection has yet to prove, if there is one."""
        kept = self._store.read(Slot.NEXT)
        return _credentials(kept) if kept is not None and kept.chain else None

    async def renew(self, now: datetime) -> Credentials:
        """Ask the fleet for the next certificate, with a new key, or give the one that is pending already.

        Shows the operational certificate, or the birth certificate when that one has ended.
        """
        return await asyncio.to_thread(self._renew, now)

    async def promote(self) -> Credentials:
        """Put the pending certificate in the place of the current one: an MQTT connection with it has stood."""
        await asyncio.to_thread(self._store.promote)
        return self.current()

    async def withdraw(self) -> None:
        """Forget the pending certificate: the broker refuses it, and the current one stays."""
        await asyncio.to_thread(self._store.remove, Slot.NEXT)

    def _renew(self, now: datetime) -> Credentials:
        client = EstClient(self._config)
        with self._store.exclusive():
            if (pending := self.pending()) is not None and pending.leaf.not_valid_after_utc > now:
                return pending
            asked = self._store.read(Slot.NEXT)
            if asked is None or asked.chain:
                asked = self._store.new_key(Slot.NEXT)
            chain = client.operational(asked.key, self._shown(now), now, again=True)
            return _credentials(self._store.write(Slot.NEXT, asked.key, chain))

    def _shown(self, now: datetime) -> Kept:
        for slot in (Slot.OPERATIONAL, Slot.BIRTH):
            kept = self._store.read(slot)
            if kept is not None and kept.chain and kept.chain[0].not_valid_after_utc > now:
                return kept
        raise EnrollmentError("every certificate of this device has ended: run `camward enroll` with a new code")


def _credentials(kept: Kept) -> Credentials:
    try:
        _, name = role_of(kept.chain[0])
    except Untrusted as error:
        raise Damaged(f"{kept.path} is no device's certificate: remove it and enrol again") from error
    return Credentials(device_id=name, key=kept.key, chain=kept.chain, path=kept.path)

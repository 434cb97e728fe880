"""Enrolment: from nothing to a birth and an operational certificate, repeatable after a crash at any point.

A key is on the disk before its request leaves, so that the next try asks with the same key and gets the same answer.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from agent.config import IdentityConfig
from agent.identity.errors import Damaged, Rejected
from agent.identity.est import EstClient
from agent.identity.store import Kept, KeyStore, Slot
from protocol.certificates import verify_chain
from protocol.errors import Untrusted
from protocol.names import Role


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """A device that is enrolled."""

    device_id: str
    birth: x509.Certificate
    operational: x509.Certificate


def enroll(config: IdentityConfig, serial: str, code: str, now: datetime) -> Identity:
    """Enrol this device, or find that it is enrolled. Blocking. Errors: EnrollmentError.

    A birth certificate that the fleet still takes is kept, and the code stays unused.
    """
    client, store = EstClient(config), KeyStore(config.directory)
    with store.exclusive():
        client.authorities()  # nothing below is touched before the fleet has proven itself at this clock's time
        birth = store.read(Slot.BIRTH)
        if birth is not None and _name(birth, client.root, Role.BIRTH, now) is not None:
            try:
                return _operational(client, store, birth, now)
            except Rejected:  # revoked, or the registry was lost: from here on only a code helps
                birth = None
        if birth is None or birth.chain:
            store.remove(Slot.NEXT)
            store.remove(Slot.OPERATIONAL)
            birth = store.new_key(Slot.BIRTH)
        chain = client.birth(birth.key, serial, code, now)
        return _operational(client, store, store.write(Slot.BIRTH, birth.key, chain), now)


def _operational(client: EstClient, store: KeyStore, birth: Kept, now: datetime) -> Identity:
    device = _name(birth, client.root, Role.BIRTH, now)
    store.remove(Slot.NEXT)
    kept = store.read(Slot.OPERATIONAL)
    if kept is None or (kept.chain and _name(kept, client.root, Role.DEVICE, now) != device):
        kept = store.new_key(Slot.OPERATIONAL)
    chain = client.operational(kept.key, birth, now, again=False)
    if chain != list(kept.chain):
        kept = store.write(Slot.OPERATIONAL, kept.key, chain)
    name = _name(kept, client.root, Role.DEVICE, now)
    if device is None or name != device:
        raise Damaged(f"the fleet gave the device {device} a certificate for {name}: report it to the fleet")
    return Identity(device_id=device, birth=birth.chain[0], operational=kept.chain[0])


def _name(kept: Kept, root: x509.Certificate, role: Role, now: datetime) -> str | None:
    if not kept.chain:
        return None
    # A clock that is days late is no reason to throw an identity away.
    at = max(now, kept.chain[0].not_valid_before_utc)
    try:
        return verify_chain(_der(kept), root=root, role=role, now=at).name
    except Untrusted:
        return None


def _der(kept: Kept) -> list[bytes]:
    return [certificate.public_bytes(Encoding.DER) for certificate in kept.chain]

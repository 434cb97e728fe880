"""A certificate request at the EST service: what signs it, and what is made of its key (RFC 2986, RFC 7030)."""

from __future__ import annotations

import base64

from protocol.names import Issuer, Role
from provisioning import ca, policy
from tests.fuzz.target import Target
from tests.kit.pki import DEVICE, new_key, utc_now

_RAW = b"raw:"  # a case is DER, which is put in base64 for it, or a body as it came
_NOW = utc_now()
_ISSUER = ca.make_issuer(Issuer.DEVICE, ca.make_root(_NOW), _NOW)
_SHOWN = ca.sign(new_key().public_key(), role=Role.DEVICE, name=DEVICE, issuer=_ISSUER, now=_NOW)


def _take(case: bytes) -> None:
    body = case.removeprefix(_RAW) if case.startswith(_RAW) else base64.b64encode(case)
    key = policy.requested_key(body)
    policy.who_asks(_SHOWN, key, allowed=frozenset({Role.DEVICE}))
    ca.sign(key, role=Role.DEVICE, name=DEVICE, issuer=_ISSUER, now=_NOW)


TARGET = Target(
    take=_take, refusals=(policy.RequestRefused, policy.WrongRole), most_bytes=policy.MAX_CSR, tokens=(_RAW,)
)

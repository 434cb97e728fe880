"""Certificates in the x5c of a grant that anybody can send: read and judged before anything is believed (RFC 5280)."""

from __future__ import annotations

from datetime import UTC, datetime

from cryptography.hazmat.primitives.serialization import Encoding

from protocol.certificates import verify_chain
from protocol.errors import Untrusted
from protocol.names import Role
from tests.fuzz.target import Target
from tests.kit.caller import TrustTree

_NOW = datetime.now(UTC)
_TREE = TrustTree(_NOW)
_ISSUER = _TREE.leaf(Role.AUTHORISER, "fleet").chain[1].public_bytes(Encoding.DER)


def _take(case: bytes) -> None:
    """Take the case for a leaf, once with an issuer of ours after it and once as the issuer."""
    for chain in ((case, _ISSUER), (_ISSUER, case)):
        try:
            verify_chain(chain, root=_TREE.root, role=Role.AUTHORISER, now=_NOW)
        except Untrusted:
            continue
        raise AssertionError("a chain that nobody signed was believed")


TARGET = Target(take=_take, most_bytes=2048)

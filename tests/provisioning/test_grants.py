"""Grants, as a device verifies them."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from protocol import jws
from protocol.certificates import thumbprint
from protocol.errors import Malformed
from protocol.messages import Grant
from protocol.names import Role
from provisioning.files import Leaf
from provisioning.grants import known_key, make_grant
from tests.kit.caller import TrustTree
from tests.kit.pki import DEVICE, new_key

TREE = TrustTree()
SIGNER = TREE.leaf(Role.AUTHORISER, "fleet")
AUTHORISER = Leaf(path=Path("authoriser.pem"), key=SIGNER.key, chain=tuple(SIGNER.chain))
NOW = datetime.now(UTC)
VIEWER = jws.public_jwk(new_key().public_key())


def grant(jwk: dict[str, str]) -> str:
    scope = frozenset({"live"})
    return make_grant(AUTHORISER, person="anna", device=DEVICE, jwk=jwk, scope=scope, jti="once", now=NOW)


def test_a_device_believes_a_grant_for_five_minutes_and_one_viewer_s_key() -> None:
    message = jws.peek(grant(VIEWER))
    signer = jws.verify_by_chain(message, "grant", root=TREE.root, role=Role.AUTHORISER, now=NOW)
    parsed = Grant.parse(message.payload)
    assert signer.name == "fleet"
    assert (parsed.sub, parsed.aud, parsed.scope) == ("anna", DEVICE, {"live"})
    assert (parsed.iat, parsed.exp - parsed.iat, parsed.session_s) == (int(NOW.timestamp()), 300, 3600)
    assert parsed.jkt == jws.jwk_thumbprint(VIEWER)


@pytest.mark.parametrize(
    "jwk",
    [
        {},
        {"kty": "RSA", "n": "AQAB", "e": "AQAB"},
        VIEWER | {"x": "AAAA"},
        VIEWER | {"crv": "P-384"},
        VIEWER | {"x": 1},
    ],
)
def test_no_grant_is_made_for_what_is_no_p_256_key(jwk: dict[str, str]) -> None:
    with pytest.raises(Malformed):
        grant(jwk)


def test_a_browser_knows_a_device_by_the_key_and_the_hash_of_its_certificate() -> None:
    signer = TREE.leaf(Role.DEVICE, DEVICE)
    assert known_key(signer.chain[0]) == {
        "jwk": jws.public_jwk(signer.key.public_key()),
        "x5t#S256": jws.base64url(thumbprint(signer.chain[0])),
    }

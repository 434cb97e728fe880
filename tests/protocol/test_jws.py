from __future__ import annotations

import bisect
import json
from collections.abc import Callable
from datetime import UTC, datetime

import pytest
from cryptography import x509
from hypothesis import given
from hypothesis import strategies as st

from protocol import jws
from protocol.errors import BadSignature, Malformed, ProtocolError, Untrusted
from protocol.jws import MAX_MESSAGE
from protocol.names import Issuer, Role
from provisioning import ca
from tests.kit.pki import DEVICE, new_key

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
ROOT = ca.make_root(NOW)
DEVICES = ca.make_issuer(Issuer.DEVICE, ROOT, NOW)
KEY = new_key()
CHAIN = [
    ca.sign(KEY.public_key(), role=Role.DEVICE, name=DEVICE, issuer=DEVICES, now=NOW),
    DEVICES.certificate,
]
PAYLOAD = {"sid": "A" * 22, "seq": 1, "text": "naïve ☃ \n"}


def _by_chain(message: str, kind: str = "bye", root: x509.Certificate = ROOT.certificate) -> str:
    return jws.verify_by_chain(jws.peek(message), kind, root=root, role=Role.DEVICE, now=NOW).name


def _by_own_key(message: str) -> str:
    return jws.verify_by_own_key(jws.peek(message), "bye")


def test_a_message_with_a_chain_says_which_device_signed_it() -> None:
    message = jws.sign("bye", PAYLOAD, key=KEY, chain=CHAIN)
    assert _by_chain(message) == DEVICE
    assert jws.peek(message).payload == PAYLOAD


def test_a_message_with_its_own_key_gives_the_thumbprint_that_a_grant_names() -> None:
    message = jws.peek(jws.sign("bye", PAYLOAD, key=KEY))
    assert jws.verify_by_own_key(message, "bye") == jws.jwk_thumbprint(jws.public_jwk(KEY.public_key()))


def test_a_thumbprint_is_that_of_rfc_7638() -> None:
    jwk = {  # RFC 7515, appendix A.3, with the hash of its canonical form
        "kty": "EC",
        "crv": "P-256",
        "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
        "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0",
    }
    canonical = json.dumps({name: jwk[name] for name in ("crv", "kty", "x", "y")}, separators=(",", ":"))
    assert jws.jwk_thumbprint({**jwk, "use": "sig"}) == jws.sha256(canonical)


@pytest.mark.parametrize("kind", ["status", "grant", "offer", "answer", "candidate"])
def test_a_message_of_one_kind_is_never_taken_for_another(kind: str) -> None:
    with pytest.raises(Malformed, match="kind"):
        _by_chain(jws.sign("bye", PAYLOAD, key=KEY, chain=CHAIN), kind)
    with pytest.raises(Malformed, match="kind"):
        jws.verify_by_own_key(jws.peek(jws.sign("bye", PAYLOAD, key=KEY)), kind)


def test_a_chain_with_another_key_is_a_bad_signature() -> None:
    with pytest.raises(BadSignature):
        _by_chain(jws.sign("bye", PAYLOAD, key=new_key(), chain=CHAIN))


def test_another_root_is_no_trust() -> None:
    message = jws.sign("bye", PAYLOAD, key=KEY, chain=CHAIN)
    with pytest.raises(Untrusted):
        _by_chain(message, root=ca.make_root(NOW).certificate)


def test_the_ways_of_signing_are_not_confused() -> None:
    with pytest.raises(Malformed, match="x5c"):
        _by_chain(jws.sign("bye", PAYLOAD, key=KEY))
    with pytest.raises(Malformed, match="jwk"):
        jws.verify_by_own_key(jws.peek(jws.sign("bye", PAYLOAD, key=KEY, chain=CHAIN)), "bye")


@pytest.mark.parametrize(("chain", "verify", "step"), [((), _by_own_key, 1), (CHAIN, _by_chain, 7)])
def test_no_changed_character_is_believed(
    chain: list[x509.Certificate], verify: Callable[[str], str], step: int
) -> None:
    message = jws.sign("bye", PAYLOAD, key=KEY, chain=chain)
    assert verify(message)
    for place in range(0, len(message), step):
        for other in ("A", "-", ".", "="):
            changed = message[:place] + other + message[place + 1 :]
            if changed == message:
                continue
            with pytest.raises(ProtocolError):
                verify(changed)


@pytest.mark.parametrize("change", ["{}=", "{}\n", " {}", "{}.", "{}!"])
def test_a_message_has_one_spelling(change: str) -> None:
    message = change.format(jws.sign("bye", PAYLOAD, key=KEY))
    with pytest.raises(ProtocolError):
        jws.verify_by_own_key(jws.peek(message), "bye")


@pytest.mark.parametrize("message", ["A" * (MAX_MESSAGE + 1), b"A" * (MAX_MESSAGE + 1)])
def test_a_message_that_is_too_long_is_not_parsed(message: str | bytes) -> None:
    with pytest.raises(Malformed, match=str(MAX_MESSAGE)):
        jws.peek(message)


@pytest.mark.parametrize("payload", [b"[" * 20_000, b'{"a":' * 5000 + b"1" + b"}" * 5000, b"9" * 10_000])
def test_json_that_is_made_to_exhaust_a_parser_is_refused(payload: bytes) -> None:
    header, _, signature = jws.sign("bye", PAYLOAD, key=KEY).split(".")
    with pytest.raises(ProtocolError):  # how deep is too deep is Python's to say; not believed it is either way
        _by_own_key(f"{header}.{jws.base64url(payload)}.{signature}")


@pytest.mark.parametrize("away", range(-10, 10))
def test_a_header_that_is_about_as_deep_as_can_be_peeked_at_is_refused_all_the_same(away: int) -> None:
    _, payload, signature = jws.sign("bye", PAYLOAD, key=KEY).split(".")

    def nested(depth: int) -> str:
        jwk = json.dumps(jws.public_jwk(KEY.public_key()))[:-1] + ', "z": ' + "[" * depth + "]" * depth + "}"
        header = f'{{"alg": "ES256", "typ": "{jws.typ_of("bye")}", "jwk": {jwk}}}'
        return f"{jws.base64url(header.encode())}.{payload}.{signature}"

    deepest = bisect.bisect(range(10_000), False, key=lambda depth: not _can_be_peeked_at(nested(depth))) - 1

    with pytest.raises(ProtocolError):
        _by_own_key(nested(deepest + away))


def _can_be_peeked_at(message: str) -> bool:
    try:
        jws.peek(message)
    except Malformed:
        return False
    return True


@given(st.one_of(st.binary(max_size=300), st.text(max_size=300)))
def test_anything_peeked_at_is_a_message_or_malformed(message: bytes | str) -> None:
    with pytest.raises(Malformed):
        jws.peek(message)


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


@given(
    header=st.dictionaries(st.sampled_from(["alg", "typ", "x5c", "jwk", "kid", "crit", "b64"]), _JSON, max_size=5)
    | st.builds(lambda **given: {"alg": "ES256", "typ": "camward-bye+jws", **given}, x5c=_JSON, jwk=_JSON),
    payload=_JSON,
    signature=st.binary(max_size=70),
)
def test_no_header_and_no_payload_raises_anything_but_a_protocol_error(
    header: dict[str, object], payload: object, signature: bytes
) -> None:
    parts = [json.dumps(header).encode(), json.dumps(payload).encode(), signature]
    compact = ".".join(jws.base64url(part) for part in parts)
    with pytest.raises(ProtocolError):
        _by_chain(compact)
    with pytest.raises(ProtocolError):
        jws.verify_by_own_key(jws.peek(compact), "bye")


@given(
    jwk=st.dictionaries(st.sampled_from(["kty", "crv", "x", "y", "d"]), _JSON)
    | st.builds(
        lambda x, y: {"kty": "EC", "crv": "P-256", "x": jws.base64url(x), "y": jws.base64url(y)},
        st.binary(max_size=40),
        st.binary(max_size=40),
    )
)
def test_what_is_no_public_p256_key_is_malformed(jwk: dict[str, object]) -> None:
    parts = [json.dumps(part).encode() for part in ({"alg": "ES256", "typ": "camward-bye+jws", "jwk": jwk}, {})]
    compact = ".".join(jws.base64url(part) for part in [*parts, b"s" * 64])
    with pytest.raises(Malformed):
        jws.verify_by_own_key(jws.peek(compact), "bye")

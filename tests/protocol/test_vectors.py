"""protocol/vectors.json means what it says, and its generator still makes the same."""

from __future__ import annotations

import base64
import json
import typing
from datetime import UTC, datetime
from typing import Any

import pytest
from cryptography import x509

from protocol import jws
from protocol.errors import BadSignature, Malformed, ProtocolError, Untrusted
from protocol.messages import Message
from protocol.names import Role
from tests.kit import vectors

VECTORS: dict[str, Any] = json.loads(vectors.PATH.read_text("ascii"))
PARSE = {parsed.__name__.lower(): parsed.parse for parsed in typing.get_args(Message)}
OUTCOMES: dict[type[ProtocolError], str] = {
    Malformed: "malformed",
    Untrusted: "untrusted",
    BadSignature: "bad-signature",
}


def _outcome(vector: dict[str, Any], file: dict[str, Any]) -> str:
    root = x509.load_der_x509_certificate(base64.b64decode(file["root"]))
    signers = {"device": (Role.DEVICE, file["device"]["id"]), "authoriser": (Role.AUTHORISER, file["authoriser"])}
    try:
        message = jws.peek(vector["message"])
        if vector["signer"] == "viewer":
            jws.verify_by_own_key(message, vector["kind"])
        else:
            role, name = signers[vector["signer"]]
            now = datetime.fromtimestamp(file["now"], UTC)
            identity = jws.verify_by_chain(message, vector["kind"], root=root, role=role, now=now)
            if identity.name != name:
                raise Untrusted("it speaks for somebody else")
        PARSE[vector["kind"]](message.payload)
    except ProtocolError as error:
        return OUTCOMES[type(error)]
    return "accepted"


@pytest.mark.parametrize("vector", VECTORS["messages"], ids=lambda vector: vector["name"].replace(" ", "-"))
def test_a_message_is_judged_as_its_vector_says(vector: dict[str, Any]) -> None:
    assert _outcome(vector, VECTORS) == vector["outcome"]


def test_the_generator_makes_the_vectors_that_the_file_has() -> None:
    fresh = vectors.make()
    told = ("name", "signer", "kind", "outcome")
    assert [[vector[member] for member in told] for vector in fresh["messages"]] == [
        [vector[member] for member in told] for vector in VECTORS["messages"]
    ]
    assert [_outcome(vector, fresh) for vector in fresh["messages"]] == [
        vector["outcome"] for vector in fresh["messages"]
    ]


def test_there_is_a_good_and_a_bad_message_of_every_kind() -> None:
    for outcome in ("accepted", "malformed"):
        assert {vector["kind"] for vector in VECTORS["messages"] if vector["outcome"] == outcome} == set(PARSE)


def test_no_private_key_stands_in_the_file() -> None:
    text = vectors.PATH.read_text("ascii")
    assert "PRIVATE" not in text
    keys = [VECTORS["viewer"]["jwk"], *(key["jwk"] for key in VECTORS["device"]["keys"])]
    assert all(set(jwk) == {"kty", "crv", "x", "y"} for jwk in keys)

from __future__ import annotations

import contextlib
import json
from dataclasses import fields
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.errors import Malformed
from protocol.messages import MAX_GRANT_S, MAX_SDP, Answer, Bye, Candidate, Grant, Offer, Status, kind_of
from tests.kit.cast import Cast

CAST = Cast()
GOOD = [CAST.status, CAST.grant, CAST.offer, CAST.answer, CAST.candidate, CAST.bye]
KINDS = [Status, Grant, Offer, Answer, Candidate, Bye]
Message = Status | Grant | Offer | Answer | Candidate | Bye


@pytest.mark.parametrize("message", GOOD, ids=kind_of)
def test_what_is_said_is_what_is_read(message: Message) -> None:
    assert type(message).parse(json.loads(json.dumps(message.payload()))) == message


@pytest.mark.parametrize("message", GOOD, ids=kind_of)
def test_a_member_of_a_later_version_is_passed_over(message: Message) -> None:
    assert type(message).parse({**message.payload(), "later": {"a": [1]}}) == message


@pytest.mark.parametrize("message", GOOD, ids=kind_of)
def test_every_member_is_needed_and_of_its_type(message: Message) -> None:
    payload = message.payload()
    for name in payload:
        for wrong in (None, [], {}, 1.5, True, b"bytes"):
            if wrong == payload[name]:
                continue  # a device with one camera has no names for it
            with pytest.raises(Malformed, match="jkt" if wrong == {} and name == "cnf" else name):
                type(message).parse({**payload, name: wrong})
        with pytest.raises(Malformed, match=name):
            type(message).parse({other: value for other, value in payload.items() if other != name})


def test_a_grant_has_the_members_of_a_token() -> None:
    payload = CAST.grant.payload()
    assert set(payload) == {"iss", "sub", "aud", "scope", "iat", "exp", "jti", "cnf", "session_s"}
    assert payload["cnf"] == {"jkt": CAST.grant.jkt}
    several = {**payload, "scope": "talk live"}
    assert Grant.parse(several).scope == {"live", "talk"}
    assert Grant.parse(several).payload()["scope"] == "live talk"


@pytest.mark.parametrize("life", [-1, 0, MAX_GRANT_S + 1])
def test_a_grant_lives_for_five_minutes_at_most(life: int) -> None:
    with pytest.raises(Malformed, match="300"):
        Grant.parse({**CAST.grant.payload(), "exp": CAST.grant.iat + life})


def test_an_sdp_has_32_kib_at_most() -> None:
    assert Offer.parse({**CAST.offer.payload(), "sdp": "v" * MAX_SDP})
    for kind, message in ((Offer, CAST.offer), (Answer, CAST.answer)):
        with pytest.raises(Malformed, match="sdp"):
            kind.parse({**message.payload(), "sdp": "v" * (MAX_SDP + 1)})


def test_half_a_character_is_no_text() -> None:
    payload = json.loads(json.dumps({**CAST.offer.payload(), "sdp": "v=0 \ud83d"}))
    with pytest.raises(Malformed, match="sdp"):
        Offer.parse(payload)


def test_a_refusal_never_quotes_what_was_sent() -> None:
    with pytest.raises(Malformed) as caught:
        Bye.parse({**CAST.bye.payload(), "reason": "secret words"})
    assert "secret" not in str(caught.value)


@given(
    kind=st.sampled_from(KINDS),
    payload=st.dictionaries(
        st.sampled_from(sorted({field.name for kind in KINDS for field in fields(kind)} | {"cnf"})),
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=30) | st.lists(st.integers()),
    ),
)
def test_no_payload_raises_anything_but_malformed(kind: type[Message], payload: dict[str, Any]) -> None:
    with pytest.raises(Malformed):
        kind.parse(payload)


@given(st.data())
def test_a_good_message_with_one_member_changed_is_read_or_malformed(data: st.DataObject) -> None:
    message = data.draw(st.sampled_from(GOOD))
    name = data.draw(st.sampled_from(sorted(message.payload())))
    value = data.draw(st.integers() | st.text(max_size=70) | st.dictionaries(st.just("jkt"), st.text(max_size=50)))
    with contextlib.suppress(Malformed):
        read = type(message).parse({**message.payload(), name: value})
        assert read.payload()[name] == value or name == "scope"

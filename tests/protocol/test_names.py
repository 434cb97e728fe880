from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol import names
from protocol.errors import Malformed
from protocol.names import ISSUER_OF, Issuer, Role


@given(st.binary(min_size=16, max_size=16))
def test_a_device_id_made_from_random_bytes_is_one(random: bytes) -> None:
    made = names.device_id(random)
    assert names.check_device_id(made) == made
    assert len(made) == 26


def test_different_bytes_make_different_ids() -> None:
    assert names.device_id(bytes(16)) != names.device_id(bytes(15) + b"\1")


@pytest.mark.parametrize("size", [0, 15, 17])
def test_a_device_id_is_made_from_16_bytes_and_no_other_number(size: int) -> None:
    with pytest.raises(ValueError, match="16"):
        names.device_id(bytes(size))


@pytest.mark.parametrize(
    "value", ["", "a" * 25, "a" * 27, "A" * 26, "a" * 25 + "1", "a" * 26 + "\n", "a" * 25 + "/", "+" * 26]
)
def test_what_is_no_device_id_is_refused(value: str) -> None:
    with pytest.raises(Malformed):
        names.check_device_id(value)


@pytest.mark.parametrize("value", ["gateway", "a", "7", "front-door-2", "a" * 63])
def test_a_callers_name_may_stand_in_a_topic(value: str) -> None:
    assert names.check_caller(value) == value


@pytest.mark.parametrize("value", ["", "-a", "A", "a/b", "+", "#", "a" * 64, "ä", "a b", "a\n", "a\0"])
def test_a_name_that_a_topic_would_read_otherwise_is_refused(value: str) -> None:
    with pytest.raises(Malformed):
        names.check_caller(value)


def test_a_role_and_an_issuer_are_said_as_urns() -> None:
    assert names.role_urn(Role.DEVICE, "a" * 26) == "urn:camward:device:" + "a" * 26
    assert names.issuer_urn(Issuer.BIRTH) == "urn:camward:ca:birth"


def test_every_role_has_its_issuer() -> None:
    assert set(ISSUER_OF) == set(Role)
    assert set(ISSUER_OF.values()) == set(Issuer)

"""People, apps, sign-in codes and web sessions."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import select

from provisioning.people import CODE_LIFE, EVERY_DEVICE, MOST_SESSIONS, SESSION_LIFE, People, PeopleError
from provisioning.registry import Registry
from provisioning.tables import sign_in_codes, web_sessions

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
LIVE = frozenset({"live"})


@pytest.fixture
def registry(tmp_path: Path) -> Registry:
    return Registry(f"sqlite:///{tmp_path / 'registry.sqlite'}")


@pytest.fixture
def people(registry: Registry) -> People:
    people = People(registry.engine)
    people.permit("anna", device="*", scope=LIVE, is_app=False, now=NOW)
    return people


def test_a_code_opens_one_session_and_then_nothing(people: People) -> None:
    code = people.new_code("anna", NOW)
    cookie = people.sign_in(code, NOW)
    assert cookie is not None
    assert people.person_of(cookie, NOW) == "anna"
    assert people.sign_in(code, NOW) is None


def test_a_code_may_be_typed_in_capitals_and_without_its_dashes(people: People) -> None:
    code = people.new_code("anna", NOW)
    assert people.sign_in(f" {code.replace('-', ' ').upper()}\n", NOW) is not None


def test_a_code_lives_for_fifteen_minutes(people: People) -> None:
    code = people.new_code("anna", NOW)
    assert timedelta(minutes=15) == CODE_LIFE
    assert people.sign_in(code, NOW + CODE_LIFE) is None


@pytest.mark.parametrize("code", ["", "aaaa-aaaa-aaaa-aaaa", "\x00", "é" * 1000])
def test_a_wrong_code_opens_nothing(people: People, code: str) -> None:
    people.new_code("anna", NOW)
    assert people.sign_in(code, NOW) is None


def test_a_session_ends_after_twelve_hours(people: People) -> None:
    cookie = people.sign_in(people.new_code("anna", NOW), NOW)
    assert cookie is not None
    assert people.person_of(cookie, NOW + SESSION_LIFE - timedelta(seconds=1)) == "anna"
    assert people.person_of(cookie, NOW + SESSION_LIFE) is None


def test_signing_out_ends_the_session_and_is_harmless_twice(people: People) -> None:
    cookie = people.sign_in(people.new_code("anna", NOW), NOW)
    assert cookie is not None
    people.sign_out(cookie)
    people.sign_out(cookie)
    assert people.person_of(cookie, NOW) is None


def test_neither_code_nor_cookie_stands_in_the_database(people: People, registry: Registry, tmp_path: Path) -> None:
    used, open_code = people.new_code("anna", NOW), people.new_code("anna", NOW)
    cookie = people.sign_in(used, NOW)
    registry.close()
    everything = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    assert cookie is not None
    for secret in (cookie, open_code, open_code.replace("-", "")):
        assert secret.encode() not in everything


def test_what_has_expired_is_swept_away(people: People, registry: Registry) -> None:
    people.sign_in(people.new_code("anna", NOW), NOW)
    people.new_code("anna", NOW)
    people.new_code("anna", NOW + timedelta(days=2))
    with registry.engine.begin() as transaction:
        assert len(transaction.execute(select(sign_in_codes)).all()) == 1
        assert transaction.execute(select(web_sessions)).all() == []


def test_the_oldest_of_too_many_sessions_is_signed_out(people: People) -> None:
    cookies = []
    for second in range(MOST_SESSIONS + 1):
        moment = NOW + timedelta(seconds=second)
        cookies.append(people.sign_in(people.new_code("anna", moment), moment))
    later = NOW + timedelta(minutes=2)
    signed_in = [cookie for cookie in cookies if cookie and people.person_of(cookie, later)]
    assert signed_in == cookies[1:]


def test_permissions_are_for_one_device_and_one_scope(people: People, registry: Registry) -> None:
    mine, other = (registry.claim(serial, "x", NOW).device for serial in ("SN1", "SN2"))
    people.permit("ben", device=mine, scope=LIVE, is_app=False, now=NOW)
    ben = people.permissions("ben")
    assert ben.allow(mine)
    assert not ben.allow(mine, "control")
    assert not ben.allow(other)
    assert people.permissions("anna").allow(other)
    assert not people.permissions("nobody").allow(mine)


def test_a_second_grant_for_the_same_device_replaces_the_first(people: People) -> None:
    people.permit("anna", device="*", scope=frozenset({"snapshot"}), is_app=False, now=NOW)
    assert not people.permissions("anna").allow("a" * 26, "live")
    assert people.permissions("anna").allow("a" * 26, "snapshot")


@pytest.mark.parametrize("name", ["", "Anna", "a b", "a/b", "+", "#", "a" * 64, "-a", "a\n"])
def test_a_name_that_could_not_stand_in_a_topic_is_refused(people: People, name: str) -> None:
    with pytest.raises(PeopleError, match="1 to 63 characters"):
        people.permit(name, device="*", scope=LIVE, is_app=True, now=NOW)


def test_nobody_is_named_like_a_device(people: People) -> None:
    with pytest.raises(PeopleError, match="form of a device id"):
        people.permit("a" * 26, device="*", scope=LIVE, is_app=True, now=NOW)


@pytest.mark.parametrize("name", ["gateway", "fleet"])
def test_nobody_is_named_like_the_fleet_s_own_services(people: People, name: str) -> None:
    with pytest.raises(PeopleError, match="the fleet's own"):
        people.permit(name, device="*", scope=LIVE, is_app=True, now=NOW)


def test_an_app_has_no_sign_in_code_and_keeps_being_an_app(people: People) -> None:
    people.permit("recorder", device="*", scope=LIVE, is_app=True, now=NOW)
    assert people.apps() == ["recorder"]
    with pytest.raises(PeopleError, match="nobody who signs in"):
        people.new_code("recorder", NOW)
    with pytest.raises(PeopleError, match="is an app"):
        people.permit("recorder", device="*", scope=LIVE, is_app=False, now=NOW)


def test_an_unknown_device_or_scope_is_refused(people: People) -> None:
    with pytest.raises(PeopleError, match="there is no device"):
        people.permit("anna", device="b" * 26, scope=LIVE, is_app=False, now=NOW)
    with pytest.raises(PeopleError, match="a scope is made of"):
        people.permit("anna", device="*", scope=frozenset({"everything"}), is_app=False, now=NOW)


def test_a_grant_is_an_event(people: People, registry: Registry) -> None:
    assert [(event.kind, event.note) for event in registry.events_after(0)] == [
        ("granted", "anna may use every device: live")
    ]


def test_what_is_withdrawn_is_permitted_no_more_and_the_rest_is(people: People) -> None:
    people.permit("bert", device=EVERY_DEVICE, scope=frozenset({"live"}), is_app=False, now=NOW)
    people.permit("cora", device=EVERY_DEVICE, scope=frozenset({"live"}), is_app=False, now=NOW)

    people.withdraw("bert", device=EVERY_DEVICE, now=NOW)

    assert people.permissions("bert").entries == ()
    assert people.permissions("cora").entries


def test_nothing_can_be_withdrawn_that_was_not_permitted(people: People) -> None:
    with pytest.raises(PeopleError):
        people.withdraw("nobody", device=EVERY_DEVICE, now=NOW)

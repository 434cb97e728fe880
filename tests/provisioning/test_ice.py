"""What viewers are told of STUN and TURN servers, and how fleet.toml names them."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientSession, CookieJar

from protocol import jws
from protocol.ice import short_lived
from provisioning import store
from provisioning.files import FleetError
from provisioning.ice import IceServers, read_ice
from tests.kit.pki import make_fleet, new_key
from tests.kit.site import serving_site

NOW = datetime(2026, 11, 25, 12, 0, tzinfo=UTC)
STUN, TURN = "stun:turn.example:3478", "turns:turn.example:5349"


def test_a_viewer_is_told_of_all_servers_with_a_credential_for_a_while() -> None:
    ice = IceServers(stun=(STUN,), turn=(TURN,), secret="swordfish", life_s=600)

    made = short_lived("swordfish", name="abc", until_s=int(NOW.timestamp()) + 600)
    assert ice.for_viewer("abc", NOW) == [
        {"urls": [STUN]},
        {"urls": [TURN], "username": made.username, "credential": made.password},
    ]


def test_without_servers_a_viewer_is_told_of_none() -> None:
    assert IceServers().for_viewer("abc", NOW) == []


def test_the_secret_does_not_show() -> None:
    assert "swordfish" not in repr(IceServers(secret="swordfish"))


def test_a_fleet_names_its_servers_in_its_settings(tmp_path: Path) -> None:
    fleet = make_fleet(tmp_path / "fleet")
    (fleet.directory / "turn.secret").write_text("swordfish\n")
    with (fleet.directory / "fleet.toml").open("a") as settings:
        settings.write(f'[ice]\nstun = ["{STUN}"]\nturn = ["{TURN}"]\nturn_secret = "turn.secret"\nturn_s = 900\n')

    assert store.load(fleet.directory).ice == IceServers(stun=(STUN,), turn=(TURN,), secret="swordfish", life_s=900)


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ({"stun": "stun:turn.example"}, "ice.stun"),
        ({"stun": [7]}, "ice.stun"),
        ({"stun": [TURN]}, "ice.stun"),
        ({"stun": [STUN] * 5}, "ice.stun"),
        ({"turn": [STUN]}, "ice.turn"),
        ({"turn": [TURN]}, "ice.turn_secret"),
        ({"turn_s": 0}, "ice.turn_s"),
        ({"turn_s": True}, "ice.turn_s"),
        ({"servers": []}, "ice.servers"),
    ],
)
def test_a_setting_that_is_wrong_is_named(tmp_path: Path, table: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        read_ice(table, tmp_path)


def test_a_secret_that_is_not_there_is_asked_for(tmp_path: Path) -> None:
    fleet = make_fleet(tmp_path / "fleet")
    with (fleet.directory / "fleet.toml").open("a") as settings:
        settings.write('[ice]\nturn_secret = "turn.secret"\n')

    with pytest.raises(FleetError, match=r"turn\.secret"):
        store.load(fleet.directory)


async def test_a_grant_comes_with_the_servers_and_a_credential_that_does_not_say_who_watches(tmp_path: Path) -> None:
    async with serving_site(tmp_path / "fleet", IceServers(turn=(TURN,), secret="swordfish")) as web:
        jar, origin = CookieJar(unsafe=True), {"Origin": web.origin}
        async with ClientSession(web.origin, cookie_jar=jar, headers=origin) as browser:
            async with browser.post("/v1/sign-in", json={"code": web.code()}) as response:
                assert response.status == 204
            wanted = {"device": web.device.id, "jwk": jws.public_jwk(new_key().public_key()), "scope": "live"}
            async with browser.post("/v1/grants", json=wanted) as response:
                (server,) = (await response.json())["ice_servers"]

    until_s, name = server["username"].split(":")
    assert server["credential"] == short_lived("swordfish", name=name, until_s=int(until_s)).password
    assert "anna" not in server["username"]

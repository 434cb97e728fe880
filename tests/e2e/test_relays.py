"""A relay that does not serve: the viewer is told, and soon. With coturn."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from agent.config import NetworkConfig
from tests.kit.house import House
from tests.kit.link import needs_root
from tests.kit.town import VIEWER, Town, network

pytestmark = [pytest.mark.alone, needs_root]


@pytest.mark.parametrize("way", ["udp", "tcp", "tls"])
async def test_where_the_relay_takes_the_credential_no_more_a_viewer_is_told_within_5_s(
    place: Town, house: House, tmp_path: Path, way: str
) -> None:
    settings = network(place, tmp_path, "relay", way, life_s=-1)

    assert await told_within_5_s(house, settings) == "relay-refused"


async def test_where_the_credential_is_of_another_secret_a_viewer_is_told_within_5_s(
    place: Town, house: House, tmp_path: Path
) -> None:
    settings = network(place, tmp_path, "relay", "udp", "tls")
    assert settings.turn_credential is not None
    settings.turn_credential.write_text('secret = "another one"')

    assert await told_within_5_s(house, settings) == "relay-refused"


@pytest.mark.parametrize("server", ["turn:9.2.0.77", "turn:9.2.0.77?transport=tcp", f"turns:{VIEWER}"])
async def test_where_no_relay_answers_a_viewer_is_told_within_5_s(
    place: Town, house: House, tmp_path: Path, server: str
) -> None:
    settings = replace(network(place, tmp_path, "relay", "udp"), turn=(server,))

    assert await told_within_5_s(house, settings) == "no-candidate"


async def test_a_relay_whose_certificate_another_authority_signed_is_none(
    place: Town, house: House, tmp_path: Path
) -> None:
    settings = replace(network(place, tmp_path, "relay", "tls"), turn_ca=None)

    assert await told_within_5_s(house, settings) == "no-candidate"


async def test_of_several_servers_one_that_serves_is_enough(place: Town, house: House, tmp_path: Path) -> None:
    settings = replace(
        network(place, tmp_path, "relay", "tcp"), turn=("turn:9.2.0.77", f"turns:{VIEWER}", place.server.turn("tcp"))
    )

    call = await house.call("a", network=settings)

    await call.until(lambda: "" in call.found)
    assert [" typ relay " in candidate for candidate in call.found] == [True, False]
    assert not call.ended.done()


async def told_within_5_s(house: House, settings: NetworkConfig) -> str:
    """The reason that a viewer is given."""
    call = await house.call("a", network=settings)
    async with asyncio.timeout(5):
        return await call.ended

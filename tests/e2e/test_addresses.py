"""What a viewer learns, and what a camera speaks to, in each mode: heard on the wire, with coturn and Chromium."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from agent.config import NetworkConfig
from protocol.ice import short_lived
from protocol.names import Role, device_id
from tests.kit.caller import TrustTree
from tests.kit.coturn import SECRET
from tests.kit.eavesdrop import Wire, listening
from tests.kit.house import House, open_house
from tests.kit.link import needs_root
from tests.kit.patterned import pattern_stream
from tests.kit.town import (
    CAMERA,
    CONTAINERS,
    NEIGHBOUR,
    PRIVATE,
    SERVER,
    VIEWER,
    Listeners,
    Town,
    listeners,
    town,
    visit,
)

pytestmark = [pytest.mark.browser, needs_root, pytest.mark.xdist_group("town")]

LIFE_S = 600


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Town]:
    with town(tmp_path_factory.mktemp("town")) as built:
        yield built


@pytest.fixture
async def house(place: Town) -> AsyncIterator[House]:
    """The camera's sessions."""
    device = TrustTree().leaf(Role.DEVICE, device_id(bytes(16)))
    async with pattern_stream() as stream, open_house(stream, device) as house:
        yield house


def network(place: Town, directory: Path, mode: str, *ways: str, until_s: float | None = None) -> NetworkConfig:
    """The camera's settings, with a credential for ten minutes if no other end is said."""
    made = short_lived(SECRET, name="camera", until_s=int(until_s or time.time() + LIFE_S))
    credential = directory / "turn.toml"
    credential.write_text(f'username = "{made.username}"\npassword = "{made.password}"\n')
    return NetworkConfig(
        addresses=mode,
        stun=(place.server.stun,),
        turn=tuple(place.server.turn(way) for way in ways),
        turn_ca=place.server.ca,
        turn_credential=credential,
    )


@contextlib.asynccontextmanager
async def heard(place: Town, directory: Path) -> AsyncIterator[tuple[Wire, Wire]]:
    """What passes the camera's network device, and the viewer's."""
    async with listening(directory, place.home, place.away) as (home, away):
        yield home, away


def looks_protected(wire: Wire) -> bool:
    """Whether what looks like RTP begins with anything: plain H.264 begins with an FU-A or a STAP-A (RFC 6184)."""
    packets = [packet.data for packet in wire.packets if packet.is_rtp and packet.destination == VIEWER]
    plain = [data for data in packets if data[12 + 4 * bool(data[0] & 0x10) + _extension(data)] & 0x1F in {24, 28}]
    return len(packets) >= 20 and len(plain) < len(packets) / 2


def _extension(data: bytes) -> int:
    return 4 * int.from_bytes(data[14:16], "big") if data[0] & 0x10 else 0


@pytest.mark.parametrize("way", ["udp", "tcp", "tls"])
async def test_in_relay_a_browser_sees_the_picture_and_learns_nothing_but_the_relay(
    place: Town, house: House, tmp_path: Path, way: str
) -> None:
    settings = network(place, tmp_path, "relay", way)
    forbidden = [(place.neighbour, NEIGHBOUR, 0), (place.home, "127.0.0.1", 0), (place.away, VIEWER, 1000)]
    with listeners(*forbidden) as closed:
        async with heard(place, tmp_path) as (left, arrived), visit(place, house, settings, tmp_path, closed) as came:
            await came.viewer.see(30)
        assert closed.heard() == []

    assert {packet.destination for packet in left.packets} <= {CAMERA, SERVER}
    for address in (CAMERA, PRIVATE, CONTAINERS):
        assert arrived.mentions(address) == []
        assert address not in came.said
    assert came.kinds == {"relay"}
    assert looks_protected(arrived)


async def test_in_direct_a_browser_learns_how_the_camera_is_seen_from_outside_and_no_private_address(
    place: Town, house: House, tmp_path: Path
) -> None:
    settings = network(place, tmp_path, "direct", "udp")
    forbidden = [(place.neighbour, NEIGHBOUR, 0), (place.home, "127.0.0.1", 0), (place.away, VIEWER, 1000)]
    with listeners(*forbidden) as closed:
        async with heard(place, tmp_path) as (left, arrived), visit(place, house, settings, tmp_path, closed) as came:
            await came.viewer.see(30)
        assert closed.heard() == []

    assert {packet.destination for packet in left.packets} <= {CAMERA, SERVER, VIEWER}
    for address in (PRIVATE, CONTAINERS):
        assert arrived.mentions(address) == []
        assert address not in came.said
    assert came.kinds == {"srflx", "relay"}
    assert looks_protected(arrived)


async def test_in_lan_a_browser_learns_the_addresses_of_real_networks_and_a_neighbour_is_probed(
    place: Town, house: House, tmp_path: Path
) -> None:
    settings = NetworkConfig()
    with (
        listeners((place.home, "127.0.0.1", 0), (place.away, VIEWER, 1000)) as closed,
        listeners((place.neighbour, NEIGHBOUR, 0)) as near,
    ):
        everybody = Listeners([*closed.sockets, *near.sockets])
        async with heard(place, tmp_path) as (_, arrived), visit(place, house, settings, tmp_path, everybody) as came:
            await came.viewer.see(30)
        assert closed.heard() == []
        assert near.heard() == [NEIGHBOUR]

    assert arrived.mentions(CONTAINERS) == []
    assert f" {CAMERA} " in came.answer
    assert f" {PRIVATE} " in came.answer
    assert CONTAINERS not in came.answer
    assert came.candidates == []
    assert looks_protected(arrived)


async def test_interfaces_that_are_left_out_are_neither_offered_nor_spoken_from(
    place: Town, house: House, tmp_path: Path
) -> None:
    settings = NetworkConfig(interfaces=("9.1.0.0/16",))
    with listeners((place.neighbour, NEIGHBOUR, 0)) as near:
        async with visit(place, house, settings, tmp_path, near) as came:
            await came.viewer.see(5)
        assert near.heard() == []

    assert PRIVATE not in came.answer


@pytest.mark.parametrize("way", ["udp", "tcp", "tls"])
async def test_where_the_relay_takes_the_credential_no_more_a_viewer_is_told_within_5_s(
    place: Town, house: House, tmp_path: Path, way: str
) -> None:
    settings = network(place, tmp_path, "relay", way, until_s=time.time() - 1)

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

"""What a viewer learns, and what a camera speaks to, in each mode: heard on the wire, with coturn and Chromium."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from agent.config import NetworkConfig
from tests.kit.eavesdrop import Wire, listening
from tests.kit.house import House
from tests.kit.link import needs_root
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
    network,
    visit,
)

pytestmark = [pytest.mark.browser, needs_root, pytest.mark.xdist_group("town")]


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
            await came.has_all()
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
        async with (
            heard(place, tmp_path) as (left, arrived),
            visit(place, house, settings, tmp_path, everybody, first=near) as came,
        ):
            await came.viewer.see(30)
        assert closed.heard() == []
        assert near.heard() == [NEIGHBOUR]

    assert any(packet.port == 5353 for packet in left.packets), "the mDNS name was not looked up"
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

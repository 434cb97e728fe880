"""The kernel's word that an address came or went, in a network of the test's own."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator

import pytest

from agent.webrtc import network
from tests.kit.link import Namespace, cable, namespace, needs_root

pytestmark = needs_root


@pytest.fixture
def home() -> Iterator[Namespace]:
    with namespace() as home, namespace() as outside:
        cable(home, outside, near_end="9.1.0.2/24", far_end="9.1.0.1/24")
        with home.entered():
            yield home


@pytest.fixture
async def told(home: Namespace) -> AsyncIterator[asyncio.Queue[frozenset[str]]]:
    told: asyncio.Queue[frozenset[str]] = asyncio.Queue()
    watching = asyncio.create_task(network.watch(told.put_nowait))
    await asyncio.sleep(0)
    yield told
    watching.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await watching


async def until(told: asyncio.Queue[frozenset[str]], wanted: frozenset[str]) -> None:
    async with asyncio.timeout(10):
        while await told.get() != wanted:
            pass


async def test_an_address_that_comes_and_one_that_goes_are_told(
    home: Namespace, told: asyncio.Queue[frozenset[str]]
) -> None:
    assert "9.1.0.2" in network.addresses()

    home.ip("address", "add", "9.3.0.2/24", "dev", "eth0")
    await until(told, frozenset())

    home.ip("address", "del", "9.1.0.2/24", "dev", "eth0")
    await until(told, frozenset({"9.1.0.2"}))
    assert "9.1.0.2" not in network.addresses()


async def test_a_route_that_comes_is_told(home: Namespace, told: asyncio.Queue[frozenset[str]]) -> None:
    home.ip("route", "add", "default", "via", "9.1.0.1")

    await until(told, frozenset())

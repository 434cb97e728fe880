"""A way to the device that is made anew, with transports that only remember."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator

import pytest

from viewer.errors import Fault
from viewer.way import Way


class Roadside:
    """Opens transports, until it is told not to."""

    def __init__(self) -> None:
        self.open: list[int] = []
        self.sent: list[tuple[int, str]] = []
        self.made = 0
        self.closed = False

    @contextlib.asynccontextmanager
    async def connect(self) -> AsyncIterator[Roadside.Transport]:
        if self.closed:
            raise Fault("unreachable", "There is no network.")
        self.made += 1
        number = self.made
        self.open.append(number)
        try:
            yield self.Transport(self, number)
        finally:
            self.open.remove(number)

    class Transport:
        def __init__(self, roadside: Roadside, number: int) -> None:
            self._roadside, self._number = roadside, number

        async def send(self, message: str) -> None:
            self._roadside.sent.append((self._number, message))

        async def receive(self) -> str:
            return str(self._number)


async def test_what_follows_goes_over_the_newest_and_the_one_before_is_closed() -> None:
    roadside = Roadside()
    async with Way.open(roadside.connect) as way:
        await way.send("a")
        await way.anew()
        await way.send("b")
        assert await way.receive() == "2"
        assert roadside.sent == [(1, "a"), (2, "b")]

    assert roadside.open == []


async def test_a_way_that_cannot_be_made_anew_stays_as_it_was() -> None:
    roadside = Roadside()
    async with Way.open(roadside.connect) as way:
        roadside.closed = True
        with pytest.raises(Fault):
            await way.anew()

        await way.send("a")
        assert roadside.sent == [(1, "a")]
        assert roadside.open == [1]

    assert roadside.open == []

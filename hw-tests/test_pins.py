"""The on-air light and the privacy switch on real pins; --pins OUT,IN names two that are wired together."""

from __future__ import annotations

import asyncio

import pytest

from agent.config import PanelConfig
from agent.panel.panel import Panel
from agent.probe.pins import pins


@pytest.fixture
def wired(request: pytest.FixtureRequest) -> tuple[int, int]:
    found, named = pins(), request.config.getoption("--pins")
    if not found.chips:
        pytest.skip("no pins: there is no /dev/gpiochip*")
    if named is None:
        pytest.skip("no wire: connect two pins, and name them with --pins OUT,IN")
    assert found.library is not None, found.problem
    out, back = map(int, named.split(","))
    return out, back


async def test_the_light_comes_on_and_goes_off(wired: tuple[int, int]) -> None:
    heard: list[bool] = []
    panel = Panel(PanelConfig(on_air_pin=wired[0]), heard.append)
    try:
        panel.on_air(True)  # raises where the pin does not read back as lit
        panel.on_air(False)
    finally:
        panel.close()


async def test_the_switch_is_heard_both_ways(wired: tuple[int, int]) -> None:
    heard: asyncio.Queue[bool] = asyncio.Queue()
    out, back = wired
    panel = Panel(PanelConfig(on_air_pin=out, privacy_pin=back), heard.put_nowait)
    try:
        for lit in (True, False, True):
            panel.on_air(lit)  # the switch is to ground: lit is open
            async with asyncio.timeout(10):
                while await heard.get() == lit:
                    pass
            assert panel.privacy is not lit
    finally:
        panel.close()

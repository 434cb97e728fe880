import asyncio
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from typing import Any

import gpiozero
import pytest
from gpiozero.pins.mock import MockFactory, MockPin

from agent.config import PanelConfig
from agent.panel.panel import Panel, PanelError

LIGHT, SWITCH = 17, 27


@pytest.fixture
def pins() -> Iterator[MockFactory]:
    """A board with mock pins; gpiozero's devices on them are the real ones."""
    before = gpiozero.Device.pin_factory
    gpiozero.Device.pin_factory = MockFactory()
    yield gpiozero.Device.pin_factory
    gpiozero.Device.pin_factory.reset()
    gpiozero.Device.pin_factory = before


class ShortedPin(MockPin):
    """A pin that stays low, whatever drives it."""

    def _set_state(self, value: float) -> None:
        pass


class BurntPin(MockPin):
    """A pin that fails as soon as it is to be high."""

    def _set_state(self, value: float) -> None:
        if value:
            raise OSError("GPIO not responding")
        super()._set_state(value)


def on_other_thread(move: Callable[[], None]) -> None:
    """As gpiozero does it: an edge arrives on a thread of its own."""
    thread = threading.Thread(target=move)
    thread.start()
    thread.join()


@asynccontextmanager
async def wired(**config: int) -> AsyncIterator[tuple[Panel, asyncio.Queue[bool]]]:
    heard: asyncio.Queue[bool] = asyncio.Queue()
    panel = Panel(PanelConfig(**config), heard.put_nowait)
    try:
        yield panel, heard
    finally:
        panel.close()


async def next_of(heard: asyncio.Queue[bool]) -> bool:
    return await asyncio.wait_for(heard.get(), 5)


async def test_the_light_follows_the_camera(pins: MockFactory) -> None:
    async with wired(on_air_pin=LIGHT) as (panel, _):
        assert pins.pin(LIGHT).state is False
        panel.on_air(True)
        assert pins.pin(LIGHT).state is True
        panel.on_air(False)
        assert pins.pin(LIGHT).state is False


@pytest.mark.parametrize(
    ("pin_class", "said"), [(ShortedPin, "stays dark, check its wiring"), (BurntPin, "GPIO not responding")]
)
async def test_a_light_that_does_not_come_on_keeps_the_camera_closed(
    pins: MockFactory, pin_class: type[MockPin], said: str
) -> None:
    pins.pin_class = pin_class
    async with wired(on_air_pin=LIGHT) as (panel, _):
        with pytest.raises(PanelError, match=said) as caught:
            panel.on_air(True)
        assert str(caught.value).startswith("the on-air light (panel.on_air_pin = 17)")
        assert str(caught.value).endswith("the camera stays closed")
        panel.on_air(False)


async def test_a_closed_switch_is_heard_at_the_start(pins: MockFactory) -> None:
    pins.pin(SWITCH).drive_low()
    pins.pin(SWITCH)._set_pull = lambda value: None  # the contact to ground is stronger than the pull-up
    async with wired(privacy_pin=SWITCH) as (panel, heard):
        assert panel.privacy is True
        assert await next_of(heard) is True


async def test_an_open_switch_is_heard_at_the_start_too(pins: MockFactory) -> None:
    async with wired(privacy_pin=SWITCH) as (panel, heard):
        assert panel.privacy is False
        assert await next_of(heard) is False


async def test_moving_the_switch_is_heard_on_the_loop(pins: MockFactory) -> None:
    threads: list[int] = []
    heard: asyncio.Queue[bool] = asyncio.Queue()

    def on_privacy(privacy: bool) -> None:
        threads.append(threading.get_ident())
        heard.put_nowait(privacy)

    panel = Panel(PanelConfig(privacy_pin=SWITCH), on_privacy)
    assert await next_of(heard) is False
    on_other_thread(pins.pin(SWITCH).drive_low)
    assert await next_of(heard) is True
    assert panel.privacy is True
    on_other_thread(pins.pin(SWITCH).drive_high)
    assert await next_of(heard) is False
    assert panel.privacy is False
    assert set(threads) == {threading.get_ident()}
    panel.close()


async def test_a_bouncing_switch_counts_once(pins: MockFactory) -> None:
    def bounce(settle: Callable[[], None]) -> None:
        for _ in range(10):
            pins.pin(SWITCH).drive_low()
            pins.pin(SWITCH).drive_high()
        settle()

    async with wired(privacy_pin=SWITCH) as (_, heard):
        assert await next_of(heard) is False
        on_other_thread(lambda: bounce(pins.pin(SWITCH).drive_low))
        assert await next_of(heard) is True
        on_other_thread(lambda: bounce(pins.pin(SWITCH).drive_high))
        assert await next_of(heard) is False
        assert heard.empty()


async def test_closing_counts_at_the_first_touch_and_opening_only_when_the_contact_is_quiet(
    pins: MockFactory,
) -> None:
    async with wired(privacy_pin=SWITCH) as (panel, heard):
        assert await next_of(heard) is False
        on_other_thread(pins.pin(SWITCH).drive_low)
        await asyncio.sleep(0)
        assert panel.privacy is True
        on_other_thread(pins.pin(SWITCH).drive_high)
        await asyncio.sleep(0)
        assert panel.privacy is True
        assert [await next_of(heard), await next_of(heard)] == [True, False]


async def test_closing_releases_the_pins_and_closing_twice_is_harmless(pins: MockFactory) -> None:
    async with wired(on_air_pin=LIGHT, privacy_pin=SWITCH) as (panel, _):
        panel.on_air(True)
        panel.close()
        panel.close()
        assert pins.pin(LIGHT).function == "input"
        gpiozero.LED(LIGHT).close()
        gpiozero.Button(SWITCH).close()


async def test_a_closed_panel_says_nothing_more_and_lets_no_camera_open(pins: MockFactory) -> None:
    async with wired(on_air_pin=LIGHT, privacy_pin=SWITCH) as (panel, heard):
        assert await next_of(heard) is False
        on_other_thread(pins.pin(SWITCH).drive_low)
        panel.close()
        on_other_thread(pins.pin(SWITCH).drive_high)
        panel.on_air(False)
        with pytest.raises(PanelError, match="the camera stays closed"):
            panel.on_air(True)
        await asyncio.sleep(0.1)
        assert heard.empty()


async def test_one_pin_for_both_is_refused_and_leaves_no_pin_taken(pins: MockFactory) -> None:
    with pytest.raises(PanelError, match=r"panel\.privacy_pin = 17: the pin cannot be used"):
        Panel(PanelConfig(on_air_pin=LIGHT, privacy_pin=LIGHT), lambda privacy: None)
    gpiozero.LED(LIGHT).close()


async def test_without_pins_everything_is_allowed_and_nothing_happens(pins: MockFactory) -> None:
    async with wired() as (panel, heard):
        panel.on_air(True)
        panel.on_air(False)
        assert panel.privacy is False
        await asyncio.sleep(0)
        assert heard.empty()


def test_without_pins_gpiozero_is_not_imported() -> None:
    said = in_a_process("Panel(PanelConfig(), print).on_air(True); print('gpiozero' in sys.modules)")
    assert said == "False\n"


def test_a_machine_without_a_gpio_library_gives_one_error_that_says_what_to_install() -> None:
    said = in_a_process(
        "sys.modules['lgpio'] = sys.modules['RPi'] = sys.modules['pigpio'] = None\n"
        "  sys.modules['gpiozero.pins.native'] = None\n"
        "  try: Panel(PanelConfig(on_air_pin=17), print)\n"
        "  except PanelError as error: print(error)"
    )
    assert said.startswith("panel.on_air_pin = 17: no GPIO library works here (Falling back from lgpio: ")
    assert "install lgpio (apt install python3-lgpio" in said
    assert said.endswith("or remove the pin from the configuration\n")
    assert said.count("\n") == 1


def in_a_process(lines: str) -> str:
    """What `lines` print on a loop of a process of their own; nothing may stand on its stderr."""
    program = (
        "import asyncio, sys\nfrom agent.config import PanelConfig\nfrom agent.panel.panel import Panel, PanelError\n"
        f"async def main():\n  {lines}\nasyncio.run(main())"
    )
    done: Any = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=30)
    assert done.stderr == ""
    return str(done.stdout)

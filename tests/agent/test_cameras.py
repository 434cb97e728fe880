"""Two cameras on one board, with the real mosquitto: each is called by its name, and runs while it is watched."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest
from gpiozero import Device
from gpiozero.pins.mock import MockFactory, MockPin

from agent.config import SessionConfig
from protocol.messages import Bye
from provisioning.registry import Registry
from tests.kit.brokers import RunningBroker, make_fleet, mosquitto
from tests.kit.device import RunningDevice, device_config, running
from tests.kit.phone import Phone, phone_of
from tests.kit.pki import enrol

pytestmark = pytest.mark.broker
DOOR = {"width": 320, "height": 180}
GARDEN = {"width": 160, "height": 120, "bitrate_bps": 200_000, "min_bitrate_bps": 100_000, "sub_bitrate_bps": 0}


@pytest.fixture
def pins() -> Iterator[MockFactory]:
    pins = Device.pin_factory = MockFactory()
    yield pins
    pins.close()
    Device.pin_factory = None


@pytest.fixture
async def broker(tmp_path: Path) -> AsyncIterator[RunningBroker]:
    async with mosquitto(make_fleet(tmp_path / "fleet"), apps=["anna", "ben"]) as broker:
        yield broker


@pytest.fixture
async def device(broker: RunningBroker, pins: MockFactory, tmp_path: Path) -> AsyncIterator[RunningDevice]:
    enrolled = enrol(broker.fleet, Registry(broker.fleet.registry_url), "SN1")
    panel = {"on_air_pin": 17, "privacy_pin": 27}
    cameras = {"cameras.door": DOOR, "cameras.garden": GARDEN}
    async with running(device_config(broker.fleet, enrolled, tmp_path, panel=panel, **cameras)) as device:
        yield device


@pytest.fixture
async def anna(broker: RunningBroker, device: RunningDevice) -> AsyncIterator[Phone]:
    async with phone_of(broker, device.daemon._device, "anna") as phone:
        yield phone


@pytest.fixture
async def ben(broker: RunningBroker, device: RunningDevice) -> AsyncIterator[Phone]:
    async with phone_of(broker, device.daemon._device, "ben") as phone:
        yield phone


def light(pins: MockFactory) -> MockPin:
    return pins.pin(17)


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(15):
        while not condition():
            await asyncio.sleep(0.02)


async def test_the_status_names_the_cameras_in_their_order(anna: Phone) -> None:
    status = await anna.status()

    assert status.cameras == ("door", "garden")
    assert status.camera == "pattern"


async def test_each_viewer_sees_the_camera_that_was_called_and_only_watched_ones_run(
    device: RunningDevice, anna: Phone, ben: Phone, pins: MockFactory
) -> None:
    first = await anna.watch("garden")
    assert anna.watcher.size == (160, 120)
    assert (device.cameras["door"], device.cameras["garden"]) == ("asleep", "streaming")

    second = await ben.watch("door")
    assert ben.watcher.size == (320, 180)

    assert len(device.daemon._sessions.rates("door")) == len(device.daemon._sessions.rates("garden")) == 1

    await anna.leave(first)
    await until(lambda: device.cameras["garden"] == "asleep")
    assert device.cameras["door"] == "streaming"
    assert light(pins).state
    await ben.watcher.see(10)

    await ben.leave(second)
    await until(lambda: device.cameras["door"] == "asleep" and not light(pins).state)


async def test_a_call_that_names_no_camera_gets_the_first(device: RunningDevice, anna: Phone) -> None:
    await anna.watch()

    assert anna.watcher.size == (320, 180)
    assert device.cameras["garden"] == "asleep"


async def test_a_camera_that_is_not_there_is_refused_and_opens_nothing(device: RunningDevice, anna: Phone) -> None:
    bye = await anna.call(challenge=(await anna.status()).challenge, camera="cellar")

    assert isinstance(bye, Bye)
    assert bye.reason == "no-camera"
    assert (device.sessions, device.cameras["door"], device.cameras["garden"]) == (0, "asleep", "asleep")


async def test_the_privacy_switch_closes_every_camera(
    device: RunningDevice, anna: Phone, ben: Phone, pins: MockFactory
) -> None:
    await anna.watch("garden")
    await ben.watch("door")

    pins.pin(27).drive_low()

    for phone in (anna, ben):
        bye = await phone.reply()
        assert isinstance(bye, Bye)
        assert bye.reason == "privacy"
    await until(lambda: device.cameras["door"] == device.cameras["garden"] == "privacy" and not light(pins).state)


async def test_the_places_for_viewers_are_those_of_the_board(device: RunningDevice, anna: Phone, ben: Phone) -> None:
    device.daemon._sessions._config = SessionConfig(max_viewers=1)
    await anna.watch("garden")

    bye = await ben.call(challenge=(await ben.status()).challenge, camera="door")

    assert isinstance(bye, Bye)
    assert bye.reason == "busy"

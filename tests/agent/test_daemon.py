"""The whole daemon with the real mosquitto: called, seen, and closed again."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from gpiozero import Device
from gpiozero.pins.mock import MockFactory

from protocol import jws, topics
from protocol.messages import Answer, Bye, Renew, Revoke
from protocol.names import Role
from provisioning.registry import Registry
from tests.kit.brokers import RunningBroker, make_fleet, mosquitto, next_message
from tests.kit.caller import Signer
from tests.kit.device import device_config, running
from tests.kit.lag import lag_of_the_loop
from tests.kit.phone import APP, Phone, phone_of
from tests.kit.pki import EnrolledDevice, enrol, issue_leaf
from tests.kit.watcher import Watcher

pytestmark = pytest.mark.broker


@pytest.fixture
async def broker(tmp_path: Path) -> AsyncIterator[RunningBroker]:
    async with mosquitto(make_fleet(tmp_path / "fleet"), apps=[APP]) as broker:
        yield broker


@pytest.fixture
def enrolled(broker: RunningBroker) -> EnrolledDevice:
    return enrol(broker.fleet, Registry(broker.fleet.registry_url), "SN1")


@pytest.fixture
def config(broker: RunningBroker, enrolled: EnrolledDevice, tmp_path: Path) -> Path:
    return device_config(broker.fleet, enrolled, tmp_path)


@pytest.fixture
async def phone(broker: RunningBroker, enrolled: EnrolledDevice) -> AsyncIterator[Phone]:
    async with phone_of(broker, enrolled.id) as phone:
        yield phone


async def until(condition: object, within_s: float = 20.0) -> None:
    assert callable(condition)
    async with asyncio.timeout(within_s):
        while not condition():
            await asyncio.sleep(0.02)


async def test_a_call_over_the_broker_shows_the_picture(config: Path, phone: Phone) -> None:
    async with running(config) as device:
        answer = await phone.watch()

        assert answer.device == phone.caller.device
        assert device.camera == "streaming"


async def test_a_grant_with_control_reaches_the_camera(config: Path, phone: Phone) -> None:
    phone.watcher = Watcher(channel="control")
    async with running(config):
        challenge = (await phone.status()).challenge
        answer = await phone.call(challenge=challenge, scope=frozenset({"live", "control"}))
        assert isinstance(answer, Answer)
        await phone.watcher.accept(answer.sdp)
        await phone.watcher.see(3)
        channel = phone.watcher.channel
        assert channel is not None
        await until(lambda: channel.readyState == "open")

        channel.send('{"id":"1","command":"adjust","setting":"zoom","value":2}')

        async with asyncio.timeout(15):
            said = json.loads(await phone.watcher.said.get())
        assert said == {
            "id": "1",
            "error": "unfit",
            "message": "camera.zoom cannot be set: this kind of camera takes no changes while it runs",
        }


async def test_the_camera_sleeps_before_the_first_viewer_and_after_the_last(config: Path, phone: Phone) -> None:
    async with running(config) as device:
        status = await phone.status()
        assert (status.presence, status.viewers, device.camera) == ("online", 0, "asleep")

        answer = await phone.call(challenge=status.challenge)
        assert isinstance(answer, Answer)
        await phone.watcher.accept(answer.sdp)
        await phone.watcher.see(3)
        await phone.client.publish(
            topics.call(phone.caller.device), phone.caller.sign(Bye(sid=answer.sid, seq=0, reason="left")), qos=1
        )

        await until(lambda: device.camera == "asleep")
        assert device.sessions == 0


async def test_ending_the_daemon_says_offline_first_and_then_bye_to_each_viewer(config: Path, phone: Phone) -> None:
    async with running(config):
        await phone.watch()

    heard = []
    while len(heard) < 2:
        topic, payload = await next_message(phone.client)
        message = jws.peek(payload)
        if topic.endswith("/status") and message.payload["presence"] == "offline":
            heard.append("offline")
        elif message.typ == jws.typ_of("bye"):
            heard.append(message.payload["reason"])
    assert heard == ["offline", "shutdown"]


async def test_a_daemon_that_is_killed_is_shown_offline_by_its_will(config: Path, phone: Phone) -> None:
    process = await asyncio.create_subprocess_exec(sys.executable, "-m", "camward", "run", "--config", config)
    assert (await phone.status()).presence == "online"

    process.kill()
    await process.wait()

    assert (await phone.status()).presence == "offline"


async def test_sigterm_ends_the_daemon_cleanly(config: Path, phone: Phone) -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "camward", "run", "--config", config, stderr=asyncio.subprocess.PIPE
    )
    await phone.watch()

    process.terminate()
    _, errors = await process.communicate()

    assert process.returncode == 0
    assert b"Traceback" not in errors


async def test_a_forged_call_gets_no_reply_and_opens_nothing(
    config: Path, phone: Phone, broker: RunningBroker, caplog: pytest.LogCaptureFixture
) -> None:
    async with running(config) as device:
        challenge = (await phone.status()).challenge
        impostor = issue_leaf(broker.fleet, Role.SERVICE, "impostor")
        phone.caller.authoriser = Signer(key=impostor.key, chain=list(impostor.chain))

        with pytest.raises(TimeoutError):
            await phone.call(challenge=challenge)

        assert device.sessions == 0
        assert device.camera == "asleep"
        assert "call passed over, untrusted" in caplog.text


async def test_a_stale_challenge_is_answered_so_that_the_viewer_can_try_again(config: Path, phone: Phone) -> None:
    async with running(config):
        await phone.status()

        bye = await phone.call(challenge=jws.base64url(bytes(16)))

        assert isinstance(bye, Bye)
        assert bye.reason == "expired"


async def test_the_privacy_switch_ends_what_runs_and_refuses_what_comes(
    broker: RunningBroker, enrolled: EnrolledDevice, phone: Phone, tmp_path: Path
) -> None:
    config = device_config(broker.fleet, enrolled, tmp_path, panel={"on_air_pin": 17, "privacy_pin": 27})
    pins = Device.pin_factory = MockFactory()
    light, switch = pins.pin(17), pins.pin(27)
    try:
        async with running(config) as device:
            await phone.watch()
            assert light.state

            switch.drive_low()

            bye = await phone.reply()
            assert isinstance(bye, Bye)
            assert bye.reason == "privacy"
            await until(lambda: device.camera == "privacy" and not light.state)

            phone.watcher = Watcher()
            bye = await phone.call(challenge=(await phone.status()).challenge)
            assert isinstance(bye, Bye)
            assert bye.reason == "privacy"
    finally:
        pins.close()
        Device.pin_factory = None


async def test_a_revocation_ends_what_runs_and_a_renewal_lets_it_go_on(
    config: Path, phone: Phone, broker: RunningBroker
) -> None:
    device, authoriser = phone.caller.device, phone.caller.authoriser
    async with running(config) as running_device, broker.client(Role.SERVICE, "gateway") as gateway:
        answer = await phone.watch()
        assert answer.session_s == 3600
        renew = Renew(sid=answer.sid, seq=1, grant=phone.caller.grant(time.time(), session_s=1800))
        await phone.client.publish(topics.call(device), phone.caller.sign(renew), qos=1)
        session, _ = running_device.daemon._sessions._open[answer.sid]
        await until(lambda: session._life_s == 1800)

        began = time.monotonic()
        revoke = Revoke(device=device, iat=int(time.time()), sub="")
        await gateway.publish(topics.control(device), authoriser.sign("revoke", revoke.payload()), qos=1)

        bye = await phone.reply()
        assert isinstance(bye, Bye)
        assert bye.reason == "revoked"
        assert time.monotonic() - began < 5


async def test_a_running_session_does_not_mind_that_the_broker_goes_away(
    config: Path, phone: Phone, broker: RunningBroker
) -> None:
    async with running(config) as device:
        await phone.watch()

        assert broker.process is not None
        broker.process.terminate()
        await broker.process.wait()
        await until(lambda: not device.daemon._link.connected)

        await phone.watcher.see(60)


@pytest.mark.alone
async def test_a_broker_that_comes_back_and_stalls_tls_disturbs_no_session(
    config: Path, phone: Phone, broker: RunningBroker
) -> None:
    taken = asyncio.Event()

    async def hold(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        taken.set()
        await reader.read()
        writer.close()

    async with running(config):
        await phone.watch()
        assert broker.process is not None
        broker.process.terminate()
        await broker.process.wait()
        stalling = await asyncio.start_server(hold, "127.0.0.1", broker.fleet.ports.broker, reuse_port=False)
        await asyncio.wait_for(taken.wait(), 10)

        seen = phone.watcher.pictures
        lag = await lag_of_the_loop(10)

        assert lag.usual_s < 0.05, lag
        assert lag.worst_s < 1, lag  # a handshake on the loop would hold it for all its ten seconds
        assert phone.watcher.pictures - seen > 270  # of 300
        stalling.close()


async def test_of_several_cameras_the_one_that_is_called_runs(
    broker: RunningBroker, enrolled: EnrolledDevice, phone: Phone, tmp_path: Path
) -> None:
    config = device_config(broker.fleet, enrolled, tmp_path, **{"cameras.door": {}, "cameras.yard": {"height": 240}})
    async with running(config) as device:
        status = await phone.status()
        assert status.cameras == ("door", "yard")

        refused = await phone.call(challenge=status.challenge, camera="attic")
        assert isinstance(refused, Bye)
        assert refused.reason == "no-camera"

        await phone.watcher.close()
        phone.watcher = Watcher()
        answer = await phone.call(challenge=status.challenge, camera="yard")
        assert isinstance(answer, Answer)
        await phone.watcher.accept(answer.sdp)
        await phone.watcher.see(3)
        assert device.cameras == {"door": "asleep", "yard": "streaming"}

    assert device.cameras == {"door": "asleep", "yard": "asleep"}

"""The whole service with real TLS, HTTP, WebSocket and MQTT, on either broker."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import aiomqtt
import psutil
import pytest
from aiohttp import ClientSession, ClientWebSocketResponse
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from protocol import jws, topics
from protocol.messages import Revoke
from protocol.names import Role
from provisioning import ca
from provisioning.files import FleetError
from provisioning.people import People
from provisioning.registry import Registry
from provisioning.serve import FleetService, Options
from tests.kit import brokers, site
from tests.kit.brokers import RunningBroker, next_message
from tests.kit.caller import Caller, Signer
from tests.kit.pki import enrol, new_key, utc_now
from tests.kit.serving import Served, app_connector, serving
from tests.kit.site import until

BROKERS = ["mosquitto", "embedded"]
JWK = jws.public_jwk(new_key().public_key())

pytestmark = pytest.mark.broker


@pytest.fixture(params=BROKERS)
async def served(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Served]:
    async with serving(tmp_path / "fleet", request.param) as served:
        yield served


async def next_frame(ws: ClientWebSocketResponse) -> dict[str, Any]:
    async with asyncio.timeout(20):
        return dict(await ws.receive_json())


async def error_frame(ws: ClientWebSocketResponse) -> tuple[str, str]:
    while "error" not in (frame := await next_frame(ws)):
        pass
    return frame["device"], frame["error"]


async def test_a_browser_calls_a_camera_and_gets_its_answer(served: Served) -> None:
    device = enrol(served.fleet, served.registry, "SN1")
    camera_signer = Signer(key=device.operational.key, chain=list(device.operational.chain))
    authoriser = served.fleet.ensure_authoriser(utc_now())
    by = Caller(device=device.id, authoriser=Signer(key=authoriser.key, chain=list(authoriser.chain)), reply="gateway")
    async with served.camera(device) as camera, served.signed_in() as browser:
        await served.presence(browser, device.id, "online")
        async with browser.ws_connect("/v1/call") as ws:
            status = await next_frame(ws)
            assert jws.peek(status["message"]).payload["presence"] == "online"
            offer = by.offer(challenge="c" * 22, grant=by.grant(time.time()))
            await ws.send_json({"device": device.id, "message": offer})
            assert await next_message(camera) == (topics.call(device.id), offer.encode())
            answer = site.answer(offer, camera_signer, device.id)
            await camera.publish(topics.reply(device.id, "gateway"), answer, qos=1)
            assert await next_frame(ws) == {"device": device.id, "message": answer.decode()}


async def test_a_device_that_another_process_revokes_is_cut_off_and_its_viewers_are_told(served: Served) -> None:
    device, other = enrol(served.fleet, served.registry, "SN1"), enrol(served.fleet, served.registry, "SN2")
    gate = RunningBroker(fleet=served.fleet, protocol=aiomqtt.ProtocolVersion.V311)
    assert await gate.lets_in(served.tls(device.operational.path))
    async with served.camera(other) as bystander, served.camera(device) as camera, served.signed_in() as browser:
        async with browser.ws_connect("/v1/call") as ws:
            await served.presence(browser, device.id, "online")
            revoked_at = time.monotonic()
            served.registry.revoke(device.id, utc_now())
            assert await error_frame(ws) == (device.id, "revoked")
        _, message = await next_message(camera)
        revoke = Revoke.parse(jws.peek(message).payload)
        assert (revoke.device, revoke.sub) == (device.id, "")
        with pytest.raises(aiomqtt.MqttError):
            await next_message(camera)
        assert time.monotonic() - revoked_at < 5
        async with browser.post("/v1/grants", json={"device": device.id, "jwk": JWK, "scope": "live"}) as refused:
            assert (await refused.json())["error"] == "revoked"
        assert not await gate.lets_in(served.tls(device.operational.path))
        await bystander.publish(topics.status(other.id), b"", qos=1)


async def test_a_permission_that_is_withdrawn_ends_that_persons_sessions_alone(served: Served) -> None:
    device = enrol(served.fleet, served.registry, "SN1")
    async with served.camera(device) as camera, served.signed_in() as browser:
        await served.presence(browser, device.id, "online")

        served.people.withdraw("anna", device="*", now=utc_now())

        topic, message = await next_message(camera)
        revoke = Revoke.parse(jws.peek(message).payload)
        assert topic == topics.control(device.id)
        assert (revoke.device, revoke.sub) == (device.id, "anna")
        async with browser.post("/v1/grants", json={"device": device.id, "jwk": JWK, "scope": "live"}) as refused:
            assert (await refused.json())["error"] == "forbidden"


async def heard_at_control(camera: aiomqtt.Client) -> str:
    """Whose grants the camera is told to take for nothing next."""
    _, message = await next_message(camera)
    return Revoke.parse(jws.peek(message).payload).sub


async def test_a_device_that_was_offline_hears_of_a_withdrawal_when_it_comes_and_each_time_it_comes_back(
    served: Served,
) -> None:
    device = enrol(served.fleet, served.registry, "SN1")
    for name in ("anna", "bert"):
        served.people.permit(name, device="*", scope=site.LIVE, is_app=False, now=utc_now())
        served.people.withdraw(name, device="*", now=utc_now())
    served.people.permit("bert", device=device.id, scope=site.LIVE, is_app=False, now=utc_now())
    await until(lambda: any("anna may not use" in line for line in served.lines))
    await until(lambda: sum("bert may use" in line for line in served.lines) == 2)
    signer = Signer(key=device.operational.key, chain=list(device.operational.chain))
    topic = topics.status(device.id)

    async with served.camera(device) as camera:
        assert await heard_at_control(camera) == "anna"

        served.people.withdraw("bert", device="*", now=utc_now())
        assert await heard_at_control(camera) == "bert"
        await camera.publish(topic, site.status(signer, device.id, "offline"), qos=1, retain=True)
        await camera.publish(topic, site.status(signer, device.id), qos=1, retain=True)
        assert [await heard_at_control(camera) for _ in range(2)] == ["bert", "anna"]


async def test_a_withdrawal_is_repeated_also_by_a_service_that_was_started_after_it(tmp_path: Path) -> None:
    fleet = brokers.make_fleet(tmp_path / "fleet")
    registry = Registry(fleet.registry_url)
    device, people = enrol(fleet, registry, "SN1"), People(registry.engine)
    people.permit("anna", device=device.id, scope=site.LIVE, is_app=False, now=utc_now())
    people.withdraw("anna", device=device.id, now=utc_now())
    registry.close()

    async with serving(tmp_path, "mosquitto", fleet) as served, served.camera(device) as camera:
        assert await heard_at_control(camera) == "anna"


async def test_a_broker_that_dies_is_started_again_and_the_cameras_come_back(tmp_path: Path) -> None:
    async with serving(tmp_path / "fleet", "mosquitto") as served, served.signed_in() as browser:
        device = enrol(served.fleet, served.registry, "SN1")
        async with served.camera(device):
            await served.presence(browser, device.id, "online")
            (mosquitto,) = [child for child in psutil.Process().children() if child.name() == "mosquitto"]
            mosquitto.kill()
            await served.presence(browser, device.id, "unknown")
        await until(lambda: sum(line.startswith("the gateway is connected") for line in served.lines) == 2)
        assert any(line.startswith("mosquitto ended (signal 9)") for line in served.lines)
        async with served.camera(device):
            await served.presence(browser, device.id, "online")


async def test_a_superseded_certificate_stays_in_use_until_the_new_one_is_seen(served: Served) -> None:
    device = enrol(served.fleet, served.registry, "SN1")
    assert len(served.registry.valid_certificates(device.id, utc_now())) == 1
    newer = _renewed(served, device.operational.chain[0])
    assert len(served.registry.valid_certificates(device.id, utc_now())) == 2
    signer = Signer(key=newer[0], chain=[newer[1], served.fleet.authority_for(Role.DEVICE).certificate])
    async with served.camera(device) as camera:
        await camera.publish(topics.status(device.id), site.status(signer, device.id), qos=1, retain=True)
        await until(lambda: len(served.registry.valid_certificates(device.id, utc_now())) == 1)
    assert served.registry.valid_certificates(device.id, utc_now()) == [newer[1]]


def _renewed(served: Served, shown: x509.Certificate) -> tuple[ec.EllipticCurvePrivateKey, x509.Certificate]:
    key, issuer = new_key(), served.fleet.authority_for(Role.DEVICE)
    certificate = served.registry.operational(
        shown,
        key.public_key(),
        utc_now(),
        lambda name: ca.sign(key.public_key(), role=Role.DEVICE, name=name, issuer=issuer, now=utc_now()),
    )
    assert certificate != shown
    return key, certificate


async def test_an_app_gets_grants_by_its_certificate_and_is_its_own_caller(served: Served) -> None:
    device = enrol(served.fleet, served.registry, "SN1")
    served.people.permit("recorder", device=device.id, scope=site.LIVE, is_app=True, now=utc_now())
    app = served.fleet.ensure_leaf(Role.APP, "recorder", served.fleet.directory / "apps/recorder.pem", utc_now())
    connector = app_connector(served.tls(app.path))
    async with ClientSession(served.https, connector=connector) as session:
        async with session.post("/v1/grants", json={"device": device.id, "jwk": JWK, "scope": "live"}) as response:
            body = await response.json()
        assert (response.status, body["caller"]) == (200, "recorder")
    async with served.mqtt(app.path, "recorder") as client, served.camera(device) as camera:
        await until(lambda: any("granted" in line for line in served.lines))
        await client.subscribe(topics.every_reply("recorder"), qos=1)
        await client.publish(topics.call(device.id), b"offer", qos=1)
        assert await next_message(camera) == (topics.call(device.id), b"offer")
        await camera.publish(topics.reply(device.id, "recorder"), b"answer", qos=1)
        assert await next_message(client) == (topics.reply(device.id, "recorder"), b"answer")


async def test_a_device_s_certificate_is_nobody_to_the_api(served: Served) -> None:
    device = enrol(served.fleet, served.registry, "SN1")
    for leaf in (device.operational.path, device.birth.path, None):
        connector = app_connector(served.tls(leaf))
        async with ClientSession(connector=connector) as session, session.get(f"{served.https}/v1/devices") as response:
            assert (response.status, (await response.json())["error"]) == (401, "signed-out")


async def test_enrolment_is_on_https_alone_and_the_page_on_both(served: Served) -> None:
    cacerts = "/.well-known/est/cacerts"
    async with ClientSession(served.https, connector=app_connector(served.tls())) as session:
        for path in (cacerts, "/"):
            async with session.get(path) as response:
                assert response.status == 200
    async with ClientSession(served.page) as session:
        async with session.get(cacerts) as response:
            assert response.status == 404
        async with session.get("/") as response:
            assert response.status == 200


async def test_plain_http_is_on_localhost_alone(served: Served) -> None:
    address = socket.gethostbyname(socket.gethostname())
    with socket.socket() as probe:
        assert address.startswith("127.") or probe.connect_ex((address, served.fleet.ports.page)) != 0


async def test_what_happens_is_told_in_plain_lines(served: Served) -> None:
    device = enrol(served.fleet, served.registry, "SN1")
    async with served.camera(device), served.signed_in() as browser:
        await served.presence(browser, device.id, "online")
        await until(lambda: "SN1: connected" in served.lines)
        await until(lambda: any(line.startswith("SN1: enrolled, ") for line in served.lines))


@pytest.mark.parametrize("broker", BROKERS)
@pytest.mark.parametrize("taken", ["https", "page", "broker"])
async def test_a_port_in_use_is_one_line_that_names_it(tmp_path: Path, broker: str, taken: str) -> None:
    fleet = brokers.make_fleet(tmp_path / "fleet")
    port = getattr(fleet.ports, taken)
    with socket.create_server(("127.0.0.1", port)):
        service = FleetService(fleet, Options(broker=broker, address="127.0.0.1"), lambda line: None)
        with pytest.raises(FleetError) as refused:
            await service.run(asyncio.Event())
    assert "\n" not in str(refused.value)
    assert f"port {port}" in str(refused.value)
    assert "in use" in str(refused.value)


async def test_it_ends_at_once_with_calls_open_and_leaves_no_port(tmp_path: Path) -> None:
    async with serving(tmp_path / "fleet", "embedded") as served:
        session = ClientSession(served.page, headers={"Origin": served.page})
        async with served.signed_in() as browser:
            session.cookie_jar.update_cookies({c.key: c.value for c in browser.cookie_jar})
        ws = await session.ws_connect("/v1/call")
        began_at = time.monotonic()
    assert time.monotonic() - began_at < 15  # aiohttp itself would wait a minute
    assert (await ws.receive(2)).type in {aiohttp.WSMsgType.CLOSE, aiohttp.WSMsgType.CLOSED}
    await session.close()
    for port in (served.fleet.ports.page, served.fleet.ports.https, served.fleet.ports.broker):
        with socket.socket() as probe:
            assert probe.connect_ex(("127.0.0.1", port)) != 0

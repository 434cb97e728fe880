"""The way over the gateway, with the fleet's real site: sign in, a grant, and a socket that relays."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from cryptography.hazmat.primitives.asymmetric import ec
from yarl import URL

from protocol import jws, topics
from protocol.certificates import thumbprint
from provisioning.tls import server_context
from tests.kit.pki import make_fleet
from tests.kit.site import Web, answer, serving_site, status, until
from tests.viewer.conftest import OTHER, now
from viewer.call import Call, Granted
from viewer.errors import Declined, Fault, NoPicture, NotVerified
from viewer.fleet import Fleet, tls
from viewer.gateway import Gateway

KEY = ec.generate_private_key(ec.SECP256R1())
JWK = jws.public_jwk(KEY.public_key())


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Web]:
    async with serving_site(tmp_path / "fleet") as site:
        yield site


@pytest.fixture
async def fleet(site: Web) -> AsyncIterator[Fleet]:
    """Somebody who is signed in."""
    async with Fleet.connect(URL(site.origin), tls(site.fleet.directory / "root.pem")) as fleet:
        await fleet.sign_in(site.code())
        yield fleet


def call_of(site: Web, granted: Granted) -> Call:
    return Call(device=site.device.id, root=site.fleet.root, key=KEY, granted=granted, random=secrets.token_bytes)


async def test_a_grant_comes_with_the_certificates_of_the_camera(site: Web, fleet: Fleet) -> None:
    granted = await fleet.grant(site.device.id, JWK)

    assert jws.peek(granted.token).payload["aud"] == site.device.id
    assert granted.caller == "gateway"
    assert granted.certificates == {jws.base64url(thumbprint(site.device.operational.chain[0]))}
    assert granted.ice_servers == ()


async def test_a_call_goes_to_the_camera_and_its_answer_comes_back(site: Web, fleet: Fleet) -> None:
    site.online()
    call = call_of(site, await fleet.grant(site.device.id, JWK))
    async with Gateway.connect(fleet, site.device.id) as gateway:
        call.read(await gateway.receive(), now())
        offer = call.offer("v=0")
        await gateway.send(offer)
        await until(lambda: bool(site.sent))
        said = answer(offer, site.camera, site.device.id)
        site.gateway.received(topics.reply(site.device.id, "gateway"), said)

        assert site.sent == [(topics.call(site.device.id), offer)]
        assert (await gateway.receive()).encode() == said


async def test_other_cameras_are_passed_over(site: Web, fleet: Fleet) -> None:
    site.gateway.received(topics.status(OTHER), status(site.camera, OTHER))
    site.online(viewers=3)

    async with Gateway.connect(fleet, site.device.id) as gateway:
        assert jws.peek(await gateway.receive()).payload["viewers"] == 3


async def test_a_camera_that_went_offline_cannot_be_called(site: Web, fleet: Fleet) -> None:
    site.online()
    call = call_of(site, await fleet.grant(site.device.id, JWK))
    async with Gateway.connect(fleet, site.device.id) as gateway:
        call.read(await gateway.receive(), now())
        site.gateway.received(topics.status(site.device.id), b"")

        await gateway.send(call.offer("v=0"))

        with pytest.raises(NoPicture, match="not connected"):
            await gateway.receive()


async def test_a_camera_that_is_revoked_is_told_at_once(site: Web, fleet: Fleet) -> None:
    site.online()
    async with Gateway.connect(fleet, site.device.id) as gateway:
        await gateway.receive()

        site.gateway.revoke(site.device.id)

        with pytest.raises(Declined) as refusal:
            await gateway.receive()
        assert refusal.value.reason == "revoked"


async def test_a_wrong_code_is_refused(site: Web) -> None:
    async with Fleet.connect(URL(site.origin), tls(site.fleet.directory / "root.pem")) as fleet:
        with pytest.raises(Declined, match="wrong, used up or too old"):
            await fleet.sign_in("abcd-efgh")


async def test_without_signing_in_there_is_no_grant_and_no_call(site: Web) -> None:
    async with Fleet.connect(URL(site.origin), tls(site.fleet.directory / "root.pem")) as fleet:
        with pytest.raises(Declined) as refusal:
            await fleet.grant(site.device.id, JWK)
        assert refusal.value.reason == "signed-out"
        with pytest.raises(Declined) as refusal:
            await Gateway.connect(fleet, site.device.id).__aenter__()
        assert refusal.value.reason == "signed-out"


async def test_a_camera_that_is_not_there_is_refused(site: Web, fleet: Fleet) -> None:
    with pytest.raises(Declined) as refusal:
        await fleet.grant(OTHER, JWK)

    assert refusal.value.reason == "unknown"


async def test_whoever_is_done_is_signed_out(site: Web) -> None:
    async with Fleet.connect(URL(site.origin), tls(site.fleet.directory / "root.pem")) as fleet:
        await fleet.sign_in(site.code())
        (cookie,) = fleet._session.cookie_jar
        assert site.people.person_of(cookie.value, datetime.now(UTC)) == "anna"

    assert site.people.person_of(cookie.value, datetime.now(UTC)) is None


async def test_a_connection_that_breaks_is_a_fault(site: Web, fleet: Fleet) -> None:
    async with Gateway.connect(fleet, site.device.id) as gateway:
        assert site.server.runner is not None
        assert site.server.runner.server is not None
        for connection in site.server.runner.server.connections:
            assert connection.transport is not None
            connection.transport.abort()

        with pytest.raises(Fault, match="connection to the fleet broke"):
            await gateway.receive()


async def test_a_fleet_that_is_not_there_is_named(site: Web, unused_tcp_port: int) -> None:
    origin = URL(f"http://127.0.0.1:{unused_tcp_port}")
    async with Fleet.connect(origin, tls(site.fleet.directory / "root.pem")) as fleet:
        with pytest.raises(Fault, match=f"{origin} cannot be reached"):
            await fleet.sign_in("abcd-efgh")


async def test_what_is_no_fleet_is_told_so(site: Web) -> None:
    async def page(_request: web.Request) -> web.Response:
        return web.Response(text="<p>a printer</p>", content_type="text/html")

    application = web.Application()
    application.router.add_post("/v1/sign-in", page)
    async with (
        TestServer(application) as printer,
        Fleet.connect(URL(str(printer.make_url("/"))).origin(), tls(site.fleet.directory / "root.pem")) as fleet,
    ):
        with pytest.raises(Fault, match="does not answer like a fleet"):
            await fleet.sign_in("abcd-efgh")


async def test_a_fleet_under_another_root_is_not_verified(tmp_path: Path) -> None:
    ours, other = make_fleet(tmp_path / "ours"), make_fleet(tmp_path / "other")
    server = TestServer(web.Application(), scheme="https")
    await server.start_server(ssl=server_context(ours, datetime.now(UTC)))
    async with Fleet.connect(URL(f"https://127.0.0.1:{server.port}"), tls(other.directory / "root.pem")) as fleet:
        with pytest.raises(NotVerified, match="cannot prove its name"):
            await fleet.sign_in("abcd-efgh")
    await server.close()

"""Somebody in between, with whatever they can make: no picture, and a plain sentence."""

import pytest
from playwright.async_api import expect

from protocol import jws
from protocol.certificates import thumbprint
from tests.viewer.web.camera import Camera, with_another_payload

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]


def as_the_camera_says(world, payload):
    return world.porch.sign("answer", payload)


def with_a_certificate_of_its_own(world, payload):
    stranger = Camera("Stranger")
    own = payload["sdp"].replace(world.porch.fingerprint, stranger.fingerprint)
    return stranger.sign("answer", {**payload, "sdp": own})


def with_the_cameras_certificate_but_another_key(world, payload):
    key, _ = Camera("Stranger").new_certificate()
    return jws.sign("answer", payload, key=key, chain=[world.porch.certificate])


def with_the_cameras_key_but_a_certificate_that_the_fleet_does_not_know(world, payload):
    certificate = world.porch.certificate_of(world.porch.key)
    own = payload["sdp"].replace(world.porch.fingerprint, thumbprint(certificate).hex(":").upper())
    return jws.sign("answer", {**payload, "sdp": own}, key=world.porch.key, chain=[certificate])


def with_another_cameras_key_of_the_same_fleet(world, payload):
    own = payload["sdp"].replace(world.porch.fingerprint, world.barn.fingerprint)
    return world.barn.sign("answer", {**payload, "sdp": own})


def with_the_fingerprint_exchanged_after_signing(world, payload):
    stranger = Camera("Stranger")
    return with_another_payload(world.porch.sign("answer", payload), world.porch.fingerprint, stranger.fingerprint)


def with_a_broken_signature(world, payload):
    good = world.porch.sign("answer", payload)
    return good[:-8] + ("AAAAAAAA" if not good.endswith("AAAAAAAA") else "BBBBBBBB")


def without_a_signature(world, payload):
    return world.porch.sign("answer", payload).rsplit(".", 1)[0] + "."


def signed_as_another_kind(world, payload):
    answer = jws.peek(world.porch.sign("status", payload))
    return with_another_header(answer.compact, "camward-status+jws", "camward-answer+jws")


def with_another_header(compact, old, new):
    header, payload, signature = compact.split(".")
    return f"{with_another_payload(f'.{header}.', old, new).split('.')[1]}.{payload}.{signature}"


def for_another_offer(world, payload):
    return world.porch.sign("answer", {**payload, "offer_sha256": jws.sha256("another.offer.altogether")})


def for_another_camera(world, payload):
    return world.porch.sign("answer", {**payload, "device": world.barn.id})


UNTRUSTED = [
    with_a_certificate_of_its_own,
    with_the_cameras_certificate_but_another_key,
    with_the_cameras_key_but_a_certificate_that_the_fleet_does_not_know,
    with_another_cameras_key_of_the_same_fleet,
    with_the_fingerprint_exchanged_after_signing,
    with_a_broken_signature,
    without_a_signature,
    signed_as_another_kind,
    for_another_offer,
    for_another_camera,
]


@pytest.mark.parametrize("forge", UNTRUSTED)
async def test_an_answer_is_refused_that_comes(world, forge):
    world.porch.forge = lambda payload: forge(world, payload)
    await world.sign_in()
    await world.click(world.porch)
    await world.message("untrusted-answer")
    await world.shows_nothing()
    await expect(world.page.locator("#retry")).to_be_visible()
    assert len(world.porch.offers) == 1


def with_a_strangers_fingerprint(world, sdp):
    return sdp.replace(world.porch.fingerprint, Camera("Stranger").fingerprint)


def with_a_strangers_fingerprint_besides(world, sdp):
    return sdp + f"a=fingerprint:sha-256 {Camera('Stranger').fingerprint}\r\n"


def with_a_fingerprint_in_a_weak_hash_besides(world, sdp):
    return sdp + "a=fingerprint:sha-1 " + ":".join(["AB"] * 20) + "\r\n"


def without_a_fingerprint(world, sdp):
    return "".join(line for line in sdp.splitlines(keepends=True) if "fingerprint" not in line)


@pytest.mark.parametrize(
    "change",
    [
        with_a_strangers_fingerprint,
        with_a_strangers_fingerprint_besides,
        with_a_fingerprint_in_a_weak_hash_besides,
        without_a_fingerprint,
    ],
)
async def test_a_well_signed_answer_is_refused(world, change):
    world.porch.forge = lambda payload: world.porch.sign("answer", {**payload, "sdp": change(world, payload["sdp"])})
    await world.sign_in()
    await world.click(world.porch)
    await world.message("wrong-fingerprint")
    await world.shows_nothing()


async def test_somebody_on_the_media_path_with_a_certificate_of_their_own_gets_no_picture_through(world):
    world.porch.dtls = Camera("Stranger").new_certificate()
    await world.sign_in()
    await world.click(world.porch)
    await world.message("wrong-fingerprint")
    await world.shows_nothing()


async def test_a_browser_that_reports_another_certificate_in_dtls_stops_the_call(world):
    await world.page.add_init_script("""
        const real = RTCPeerConnection.prototype.getStats;
        RTCPeerConnection.prototype.getStats = async function () {
            const stats = new Map(await real.call(this));
            for (const [id, entry] of stats) {
                if (entry.type === "certificate") stats.set(id, { ...entry, fingerprint: "AB:".repeat(31) + "AB" });
            }
            return stats;
        };
    """)
    await world.sign_in()
    await world.click(world.porch)
    await world.message("wrong-fingerprint")
    await world.shows_nothing()


async def test_forged_byes_and_candidates_are_as_good_as_none(world):
    stranger = Camera("Stranger")
    await world.sign_in()
    await world.see(world.porch)
    (offer,) = world.porch.offers
    (socket,) = world.fleet.sockets
    forgery = stranger.sign("bye", {"sid": offer.sid, "seq": 99, "reason": "revoked"})
    await socket.send_json({"device": world.porch.id, "message": forgery})
    await socket.send_json({"device": world.porch.id, "message": "no.such.thing"})
    await socket.send_str("neither")
    await world.decodes_more()
    await expect(world.page.locator("#state")).to_have_text("Live")


async def test_a_bye_that_was_said_before_ends_nothing(world):
    world.porch.trickles = True
    await world.sign_in()
    await world.see(world.porch)
    (offer,) = world.porch.offers
    (socket,) = world.fleet.sockets

    async def send(message):
        await socket.send_json({"device": world.porch.id, "message": message})

    await world.porch.bye(offer.sid, "shutdown", send, seq=0)  # the candidates have had higher numbers
    await world.porch.bye("A" * 22, "shutdown", send)  # another call's
    await world.decodes_more()
    await world.porch.bye(offer.sid, "shutdown", send)
    await world.message("shutdown")


def signed_by_a_stranger(world):
    stranger = Camera("Stranger")
    stranger.id = world.porch.id
    return stranger.status()


def of_another_camera(world):
    return world.barn.status()


@pytest.mark.parametrize("status", [signed_by_a_stranger, of_another_camera])
async def test_a_camera_is_not_called_on_a_status(world, status):
    world.fleet.tamper = lambda message: status(world) if "status" in jws.peek(message).typ else message
    await world.page.clock.install()
    await world.sign_in()
    async with world.page.expect_response("**/v1/grants"):
        await world.click(world.porch)
    await world.page.clock.fast_forward(5_000)
    await world.message("untrusted-status")
    await world.shows_nothing()
    assert not world.porch.offers

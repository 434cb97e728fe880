"""Every refusal and failure has one plain sentence, and a way on."""

import time

import pytest
from playwright.async_api import expect

from protocol.ice import short_lived
from protocol.messages import BYE_REASONS
from tests.kit.coturn import SECRET
from tests.viewer.web.conftest import INSECURE_HOST

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]


@pytest.mark.parametrize("reason", sorted(BYE_REASONS - {"expired"}))
async def test_a_camera_that_refuses_is_quoted_in_a_sentence(world, reason):
    world.porch.refusal = reason
    await world.sign_in()
    await world.click(world.porch)
    await world.message(reason)
    await world.shows_nothing()
    await expect(world.page.locator("#state")).to_have_text("Ended")
    await expect(world.page.locator("#retry")).to_be_visible()


@pytest.mark.parametrize("code", ["offline", "revoked", "forbidden", "too-long", "rate", "broker"])
async def test_a_service_that_does_not_pass_the_call_on_is_quoted_in_a_sentence(world, code):
    world.fleet.call_error = code
    await world.sign_in()
    await world.click(world.porch)
    await world.message(code)
    await world.shows_nothing()


async def test_a_camera_that_is_put_out_while_it_is_watched_shows_nothing_more(world):
    await world.sign_in()
    await world.see(world.porch)
    async with world.page.expect_response("**/v1/devices"):
        await world.fleet.refuse(world.porch, "revoked")
    await world.message("revoked")
    await expect(world.page.locator("#state")).to_have_text("Ended")
    await expect(world.page.locator("#identity")).to_be_hidden()


@pytest.mark.parametrize("code", ["offline", "rate", "broker"])
async def test_a_picture_that_stands_does_not_need_the_service(world, code):
    await world.sign_in()
    await world.see(world.porch)
    await world.fleet.refuse(world.porch, code)
    await world.decodes_more()
    await expect(world.page.locator("#state")).to_have_text("Live")


@pytest.mark.parametrize(
    ("status", "code"), [(403, "forbidden"), (404, "unknown"), (409, "revoked"), (409, "not-enrolled"), (429, "rate")]
)
async def test_a_service_that_gives_no_grant_is_quoted_in_a_sentence(world, status, code):
    world.fleet.grant_error = (status, code)
    await world.sign_in()
    await world.click(world.porch)
    await world.message(code)
    assert not world.porch.offers


async def test_every_code_has_one_sentence_that_ends_with_a_full_stop(world):
    await world.page.goto(world.origin)
    said = await world.page.evaluate(
        """import('/web/sentences.js').then(({ CODES, sentence }) =>
            Object.fromEntries([...CODES, 'novel'].map((code) => [code, sentence(code)])))"""
    )
    assert set(said) > BYE_REASONS
    assert len(set(said.values())) == len(said)
    for text in said.values():
        assert text[0].isupper()
        assert text.endswith(".")
        assert ". " not in text
    assert "novel" in said["novel"]


async def test_an_offline_camera_is_shown_as_such_and_not_called(world, screenshots):
    world.porch.presence = "offline"
    await world.sign_in()
    await expect(world.page.locator(f'#devices li[data-device="{world.porch.id}"] .presence')).to_have_text("Offline")
    await world.click(world.porch)
    await world.message("offline")
    assert not world.porch.offers
    await screenshots(world.page, "offline-wide-light")


async def test_a_camera_that_never_answers_is_given_up_after_fifteen_seconds(world):
    world.porch.silent = True
    await world.page.clock.install()
    await world.sign_in()
    await world.click(world.porch)
    async with world.porch.heard:
        await world.porch.heard.wait_for(lambda: world.porch.offers)
    await world.page.clock.fast_forward(10_000)
    await expect(world.page.locator("#state")).to_have_text("Calling\u2026")
    await world.page.clock.fast_forward(5_000)
    await world.message("setup-timeout")
    async with world.porch.heard:
        await world.porch.heard.wait_for(lambda: world.porch.byes)
    assert [bye.reason for bye in world.porch.byes] == ["left"]


async def test_a_camera_that_connects_and_sends_nothing_is_given_up_with_another_sentence(world):
    world.porch.sends = False
    await world.page.clock.install()
    await world.sign_in()
    await world.click(world.porch)
    await expect(world.page.locator("#identity")).to_be_visible()
    await world.page.clock.fast_forward(15_000)
    await world.message("no-picture")


async def test_a_page_without_a_socket_to_the_service_says_so_instead_of_calling_the_camera_offline(world):
    world.fleet.shut = True
    await world.page.clock.install()
    await world.sign_in()
    await expect(world.page.locator("#relay")).to_be_visible()
    for _ in ("the call", "the one that the viewer makes by itself"):
        async with world.page.expect_response("**/v1/grants"):
            await (world.page.clock.fast_forward(5_000) if world.fleet.viewer_keys else world.click(world.porch))
    await world.page.clock.fast_forward(5_000)
    await world.message("relay-closed")


async def test_a_socket_that_breaks_before_the_answer_makes_one_more_call(world):
    world.porch.silent = True
    await world.sign_in()
    await world.click(world.porch)
    async with world.porch.heard:
        await world.porch.heard.wait_for(lambda: world.porch.offers)
    world.porch.silent = False
    await world.fleet.lose_sockets()
    await expect(world.page.locator("#state")).to_have_text("Live")
    assert len(world.porch.offers) == 2


async def test_a_browser_without_h264_is_told_so_at_once_and_calls_nobody(world):
    await world.page.add_init_script("""
        const real = RTCRtpReceiver.getCapabilities;
        RTCRtpReceiver.getCapabilities = (kind) => {
            const { codecs, headerExtensions } = real.call(RTCRtpReceiver, kind);
            return { codecs: codecs.filter(({ mimeType }) => mimeType !== "video/H264"), headerExtensions };
        };
    """)
    await world.sign_in()
    await world.message("no-h264")
    await world.click(world.porch)
    await world.message("no-h264")
    assert not world.fleet.viewer_keys
    assert not world.porch.offers


async def test_a_browser_without_webrtc_is_told_so(world):
    await world.page.add_init_script("delete globalThis.RTCPeerConnection")
    await world.sign_in()
    await world.message("no-webrtc")


async def test_a_page_over_plain_http_on_another_host_is_told_to_use_https(world):
    await world.page.goto(f"http://{INSECURE_HOST}:{world.port}/")
    await world.message("no-webcrypto")


async def test_a_picture_that_waits_for_a_click_gets_a_button(world):
    await world.page.add_init_script("""
        const real = HTMLMediaElement.prototype.play;
        HTMLMediaElement.prototype.play = function () {
            if (navigator.userActivation.isActive && globalThis.refused) return real.call(this);
            globalThis.refused = true;
            this.autoplay = false;
            return Promise.reject(new DOMException("a click is wanted", "NotAllowedError"));
        };
    """)
    await world.sign_in()
    await world.click(world.porch)
    await world.message("play-refused")
    await world.page.locator("#play").click()
    await expect(world.page.locator("#state")).to_have_text("Live")
    await expect(world.page.locator("#message")).to_be_hidden()


async def test_a_relay_that_refuses_the_call_s_credential_is_told_where_there_is_no_other_path(world, relay):
    stale = short_lived(SECRET, name="somebody", until_s=int(time.time()) - 1)
    world.fleet.ice_servers = [{"urls": [relay.turn()], "username": stale.username, "credential": stale.password}]
    world.porch.silent = True
    await world.sign_in()
    await world.click(world.porch)
    await world.message("relay-credential")


async def test_a_relay_that_refuses_does_not_matter_where_there_is_another_path(world, relay):
    stale = short_lived(SECRET, name="somebody", until_s=int(time.time()) - 1)
    world.fleet.ice_servers = [{"urls": [relay.turn()], "username": stale.username, "credential": stale.password}]
    await world.sign_in()
    await world.see(world.porch)

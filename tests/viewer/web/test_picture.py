"""From sign-in to a verified picture, and back."""

import asyncio

import pytest
from playwright.async_api import expect

from protocol import jws
from tests.viewer.web.camera import Camera

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]


async def test_a_click_on_a_camera_shows_its_moving_picture(world):
    await world.sign_in()
    await world.see(world.porch)
    await world.decodes_more()
    figure = world.page.locator("#figures").get_by_test_id
    await expect(figure("resolution")).to_have_text("1280 \u00d7 720")
    for name, unit in {"fps": "fps", "bitrate": "Mbit/s", "round-trip": "ms", "first-picture": "ms"}.items():
        await expect(figure(name)).to_contain_text(unit)


@pytest.mark.alone
async def test_the_picture_comes_within_two_seconds_of_the_click(world, record_property):
    await world.sign_in()
    await world.see(world.porch)
    text = await world.page.locator("#figures").get_by_test_id("first-picture").text_content()
    record_property("click_to_picture", text)
    assert 0 < int(text.removesuffix(" ms")) < 2000


async def test_the_identity_panel_says_which_camera_it_is_and_that_dtls_shows_the_same_certificate(world):
    await world.sign_in()
    await expect(world.page.locator("#identity")).to_be_hidden()
    await world.see(world.porch)
    of = world.page.locator("#identity").get_by_test_id
    await expect(world.page.locator("#identity #verified")).to_have_text("Verified")
    await expect(of("label")).to_have_text("Front porch")
    await expect(of("id")).to_have_text(world.porch.id)
    await expect(of("origin")).to_have_text(world.origin)
    await expect(of("camera")).to_have_text("clip bigbuckbunny.mp4, 1280x720")
    await expect(of("subject")).to_have_text(world.porch.id)
    await expect(of("until")).to_have_text("2047-03-04 05:06 UTC")
    await expect(of("fingerprint")).to_have_text(world.porch.fingerprint)
    await expect(of("dtls")).to_have_text("Fingerprint equal to the one in DTLS")


async def test_a_camera_that_slept_says_where_its_picture_comes_from_once_it_is_awake(world):
    world.porch.source = "auto"
    await world.sign_in()
    await world.see(world.porch)
    source = world.page.locator("#identity").get_by_test_id("camera")
    await expect(source).to_have_text("auto")
    world.porch.source = "pattern 1280x720 at 30 fps"
    await world.fleet.publish()
    await expect(source).to_have_text("pattern 1280x720 at 30 fps")


async def test_a_session_is_renewed_with_fresh_grants_before_it_ends(world):
    world.porch.session_s = 3
    await world.sign_in()
    await world.see(world.porch)
    async with asyncio.timeout(20), world.porch.heard:
        await world.porch.heard.wait_for(lambda: len(world.porch.renewals) >= 2)
    (offer,) = world.porch.offers
    grants = [offer.grant, *(renewal.grant for renewal in world.porch.renewals)]
    assert len(set(grants)) == len(grants)
    assert {renewal.sid for renewal in world.porch.renewals} == {offer.sid}
    await expect(world.page.locator("#state")).to_have_text("Live")


async def test_a_renewal_that_the_service_does_not_pass_on_is_made_again_in_time(world):
    world.porch.session_s = 60
    await world.page.clock.install()
    await world.sign_in()
    await world.see(world.porch)
    await world.page.clock.fast_forward(41_000)
    async with asyncio.timeout(20), world.porch.heard:
        await world.porch.heard.wait_for(lambda: len(world.porch.renewals) == 1)
    await world.fleet.refuse(world.porch, "forbidden")
    world.barn.presence = "offline"
    await world.fleet.publish()
    barn = world.page.locator(f'#devices li[data-device="{world.barn.id}"] .presence')
    await expect(barn).to_have_text("Offline")  # so the page has heard the refusal before
    await world.page.clock.fast_forward(14_000)  # two thirds of what was left; without a refusal it would be 40 s
    async with asyncio.timeout(20), world.porch.heard:
        await world.porch.heard.wait_for(lambda: len(world.porch.renewals) == 2)


async def test_the_offer_has_h264_alone_and_only_receives(world):
    await world.sign_in()
    await world.see(world.porch)
    (offer,) = world.porch.offers
    formats = [line.split()[1] for line in offer.sdp.splitlines() if line.startswith("a=rtpmap:")]
    assert "H264/90000" in formats
    assert set(formats) == {"H264/90000", "rtx/90000"}
    assert offer.sdp.count("\nm=") == 1
    assert "\na=recvonly" in offer.sdp
    assert (offer.reply, offer.stream) == ("gateway", "main")


async def test_candidates_follow_the_offer_one_by_one_with_a_rising_number_and_an_end(world):
    await world.sign_in()
    await world.see(world.porch)
    async with world.porch.heard:
        await world.porch.heard.wait_for(lambda: world.porch.candidates and not world.porch.candidates[-1].candidate)
    numbers = [candidate.seq for candidate in world.porch.candidates]
    assert numbers == sorted(set(numbers))
    assert all(" udp " in candidate.candidate.lower() for candidate in world.porch.candidates[:-1])


async def test_a_camera_that_sends_its_candidates_one_by_one_is_reached(world):
    world.porch.trickles = True
    await world.sign_in()
    await world.see(world.porch)
    await world.decodes_more()


async def test_closing_tells_the_camera_and_takes_the_picture_away(world):
    await world.sign_in()
    for close in (world.page.locator("#close").click, lambda: world.page.keyboard.press("Escape")):
        await world.see(world.porch)
        await close()
        async with world.porch.heard:
            await world.porch.heard.wait_for(lambda: not world.porch.peers)
        assert world.porch.byes[-1].reason == "left"
        assert await world.page.locator("#player video").evaluate("(video) => video.srcObject") is None
        await expect(world.page.locator("#identity")).to_be_hidden()
        await expect(world.page.locator("#figures dd, #identity dd")).to_have_count(0)


async def test_a_page_that_goes_away_says_bye_first(world):
    await world.sign_in()
    await world.see(world.porch)
    await world.page.goto("about:blank")
    async with world.porch.heard:
        await world.porch.heard.wait_for(lambda: world.porch.byes)
    assert world.porch.byes[0].sid == world.porch.offers[0].sid


async def test_another_camera_takes_the_place_of_the_first(world):
    await world.sign_in()
    await world.see(world.porch)
    await world.see(world.barn)
    await world.decodes_more()
    async with world.porch.heard:
        await world.porch.heard.wait_for(lambda: world.porch.byes)
    await expect(world.page.locator("#title")).to_have_text("Barn")
    await expect(world.page.get_by_test_id("id")).to_have_text(world.barn.id)
    await expect(world.page.locator("#devices [aria-current=true] .label")).to_have_text("Barn")


async def test_a_lost_socket_leaves_the_picture_running_and_comes_back_for_the_next_call(world):
    await world.sign_in()
    await world.see(world.porch)
    await world.fleet.lose_sockets()
    await world.decodes_more(25)
    await expect(world.page.locator("#state")).to_have_text("Live")
    await world.see(world.barn)
    await world.decodes_more()


async def test_a_call_with_an_old_challenge_is_made_once_more_with_the_newest_and_not_before_it_is_there(world):
    async def nothing_yet():
        pass

    publish, world.porch.publish = world.porch.publish, nothing_yet
    world.porch.stale = 1
    await world.sign_in()
    async with world.page.expect_response(lambda _: len(world.fleet.viewer_keys) == 2):
        await world.click(world.porch)
    await world.page.evaluate("new Promise((resolve) => setTimeout(resolve, 200))")  # time in which it must not call
    assert len(world.porch.offers) == 1
    await publish()
    await expect(world.page.locator("#state")).to_have_text("Live")
    first, second = world.porch.offers
    assert first.challenge != second.challenge
    assert first.sid != second.sid


async def test_a_call_is_made_only_once_more(world):
    world.porch.stale = 3
    await world.sign_in()
    await world.click(world.porch)
    await world.message("expired")
    assert len(world.porch.offers) == 2
    await world.page.locator("#retry").click()
    await expect(world.page.locator("#state")).to_have_text("Live")


async def test_a_camera_that_ends_a_running_call_leaves_a_sentence_and_a_way_back(world):
    await world.sign_in()
    await world.see(world.porch)
    await world.porch.close_all()
    await world.message("left")
    await world.page.locator("#retry").click()
    await expect(world.page.locator("#state")).to_have_text("Live")


async def test_a_session_that_falls_silent_goes_on_over_another_connection(world):
    await world.sign_in()
    await world.see(world.porch)
    await world.decodes_more()
    await world.porch.vanish()
    await world.is_back()
    await world.decodes_more()
    (offer,) = world.porch.offers
    assert {move.sid for move in world.porch.moves} == {offer.sid}
    assert world.porch.byes == []
    await world.page.locator("#close").click()
    async with asyncio.timeout(10), world.porch.heard:
        await world.porch.heard.wait_for(lambda: [bye.sid for bye in world.porch.byes] == [offer.sid])


async def test_a_camera_whose_certificate_was_renewed_is_known_again_from_the_next_grant_on(world):
    world.porch.session_s = 2
    await world.sign_in()
    await world.see(world.porch)
    world.porch.key, world.porch.certificate = world.porch.dtls = world.porch.new_certificate()
    world.fleet.described[world.porch.id] = world.porch.described()
    grants = len(world.fleet.viewer_keys)  # the offer's among them
    async with asyncio.timeout(20), world.porch.heard:
        await world.porch.heard.wait_for(lambda: len(world.porch.renewals) >= grants)
    await world.porch.vanish()
    await world.is_back()
    await world.decodes_more()


async def test_a_camera_whose_certificate_was_renewed_is_known_again_in_the_middle_of_a_move(world):
    await world.sign_in()
    await world.see(world.porch)
    world.porch.key, world.porch.certificate = world.porch.dtls = world.porch.new_certificate()
    world.fleet.described[world.porch.id] = world.porch.described()
    await world.porch.vanish()
    await world.is_back()
    await world.decodes_more()
    assert len(world.porch.offers) == 1
    assert world.porch.renewals == []


async def test_a_certificate_that_the_fleet_does_not_know_answers_no_move(world):
    await world.sign_in()
    await world.see(world.porch)
    world.porch.key, world.porch.certificate = world.porch.dtls = world.porch.new_certificate()
    await world.porch.vanish()
    await world.message("untrusted-answer")
    await world.shows_nothing()
    assert len(world.fleet.viewer_keys) == 2  # the call's, and the one that was asked


async def test_a_move_that_fails_by_itself_ends_no_session_and_another_follows(world):
    await world.page.add_init_script("""
        let made = 0;
        globalThis.RTCPeerConnection = class extends RTCPeerConnection {
            number = ++made;
            get connectionState() {
                return this.number === 2 ? "failed" : super.connectionState;
            }
        };
    """)
    await world.sign_in()
    await world.see(world.porch)
    await world.porch.vanish()
    await world.is_back()
    assert len({move.seq for move in world.porch.moves}) >= 2
    assert len(world.porch.offers) == 1
    assert world.porch.byes == []


async def test_a_connection_that_comes_back_while_the_session_moves_is_kept(world):
    await world.sign_in()
    await world.see(world.porch)
    world.porch.moving = False
    speak = world.porch.mute()
    await world.reconnects()
    speak()
    await expect(world.page.locator("#state")).to_have_text("Live")
    assert len(world.porch.offers) == 1
    assert world.porch.byes == []
    await world.page.locator("#close").click()  # whoever speaks for the session again says bye
    async with asyncio.timeout(10), world.porch.heard:
        await world.porch.heard.wait_for(lambda: [bye.sid for bye in world.porch.byes] == [world.porch.offers[0].sid])


NO_TRANSPORT_BYTES = """
    const real = RTCPeerConnection.prototype.getStats;
    RTCPeerConnection.prototype.getStats = async function () {
        const entries = [...await real.call(this)];
        return new Map(entries.map(([id, { ...entry }]) => {
            if (entry.type === "transport") delete entry.bytesReceived;
            return [id, entry];
        }));
    };
"""
NO_FRAME_CALLBACK = "delete HTMLVideoElement.prototype.requestVideoFrameCallback"


@pytest.mark.parametrize("lacking", [NO_TRANSPORT_BYTES, NO_FRAME_CALLBACK], ids=["transport-bytes", "frame-callback"])
async def test_a_session_moves_also_in_a_browser_that_tells_less(world, lacking):
    await world.page.add_init_script(lacking)
    await world.sign_in()
    await world.see(world.porch)
    world.porch.mute()
    async with asyncio.timeout(20), world.porch.heard:
        await world.porch.heard.wait_for(lambda: bool(world.porch.moves))
    await expect(world.page.locator("#state")).to_have_text("Live")
    assert len(world.porch.offers) == 1


async def test_a_camera_that_has_forgotten_the_session_is_called_once_more(world):
    await world.sign_in()
    await world.see(world.porch)
    world.porch.moving = False
    await world.porch.vanish()
    await world.is_back()
    assert len(world.porch.offers) == 2
    await world.decodes_more()


async def test_a_session_that_ended_while_the_page_was_away_is_said_to_have_ended(world):
    await world.sign_in()
    await world.see(world.porch)
    world.porch.moving = False
    await world.porch.vanish()
    async with asyncio.timeout(20), world.porch.heard:
        await world.porch.heard.wait_for(lambda: bool(world.porch.moves))
    (socket,) = world.fleet.sockets
    await world.porch.bye(
        world.porch.offers[0].sid, "privacy", lambda message: world.fleet._tell(socket, world.porch, message)
    )
    await world.message("privacy")


async def test_a_camera_whose_picture_stops_is_said_to_stand_still_and_stays_on(world):
    await world.sign_in()
    await world.see(world.porch)
    await world.message("still")  # the film has 5.3 s
    await expect(world.page.locator("#state")).to_have_text("Live")


async def test_the_list_follows_what_cameras_say_of_themselves(world):
    await world.sign_in()
    barn = world.page.locator(f'#devices li[data-device="{world.barn.id}"] .presence')
    await expect(barn).to_have_text("Online")
    world.barn.presence = "offline"
    await world.fleet.publish()
    await expect(barn).to_have_text("Offline")
    world.barn.presence = "online"
    await world.fleet.publish()
    await expect(barn).to_have_text("Online")
    await world.see(world.barn)
    forged = Camera("Barn")
    forged.id, forged.presence = world.barn.id, "offline"
    (socket,) = world.fleet.sockets
    asked = []
    world.page.on("request", lambda request: asked.append(request.url))
    async with world.page.expect_response(
        "**/v1/devices"
    ):  # a status that does not verify is not believed: the fleet is asked
        await socket.send_json({"device": world.barn.id, "message": forged.status()})
    await expect(barn).to_have_text("Online")


async def test_the_key_is_made_once_and_cannot_be_taken_out_of_the_browser(world):
    await world.sign_in()
    await world.see(world.porch)
    await world.page.reload()
    await world.see(world.barn)
    first, second = world.fleet.viewer_keys
    assert first == second
    ask = """import('/web/keys.js').then(async (m) => {
        const { privateKey } = await m.viewerKey();
        return crypto.subtle.exportKey('jwk', privateKey).then(() => 'out', (error) => error.name);
    })"""
    assert await world.page.evaluate(ask) == "InvalidAccessError"
    assert jws.jwk_thumbprint(first) == jws.jwk_thumbprint(
        await world.page.evaluate("import('/web/keys.js').then(async (m) => (await m.viewerKey()).jwk)")
    )


async def test_of_a_device_with_several_cameras_one_is_chosen(world, screenshots):
    world.porch.cameras = ("door", "yard")
    await world.sign_in()
    await world.see(world.porch)
    choice = world.page.locator("#camera")
    await expect(choice).to_be_visible()
    assert await choice.locator("option").all_inner_texts() == ["door", "yard"]
    await expect(choice).to_have_value("door")
    assert [offer.camera for offer in world.porch.offers] == [""]

    await choice.select_option("yard")
    await expect(world.page.locator("#state")).to_have_text("Live")
    await expect(choice).to_have_value("yard")
    assert [offer.camera for offer in world.porch.offers] == ["", "yard"]
    await expect(world.page.get_by_test_id("camera")).to_have_text("yard")
    await screenshots(world.page, "cameras")

    await world.porch.close_all()
    await world.message("left")
    await world.page.locator("#retry").click()
    await expect(world.page.locator("#state")).to_have_text("Live")
    assert [offer.camera for offer in world.porch.offers] == ["", "yard", "yard"]

    await world.see(world.barn)
    await expect(choice).to_be_hidden()

"""The class on a page of somebody else's: the one that docs/how-to/embed-the-viewer.md shows."""

import re
from pathlib import Path

import pytest
import pytest_asyncio
from playwright.async_api import expect

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]
GUIDE = Path(__file__).parents[3] / "docs/how-to/embed-the-viewer.md"
KEEP_EVENTS = """
    globalThis.told = [];
    const real = EventTarget.prototype.dispatchEvent;
    EventTarget.prototype.dispatchEvent = function (event) {
        if (this.constructor.name === "CamwardViewer") told.push([event.type, event.detail]);
        return real.call(this, event);
    };
"""


@pytest_asyncio.fixture(loop_scope="session")
async def guide(world):
    (html,) = re.findall(r"```html\n(.*?)```", GUIDE.read_text(), re.DOTALL)
    world.fleet.own_pages["porch"] = html.replace("DEVICE-ID", world.porch.id)
    await world.sign_in()
    await world.page.add_init_script(KEEP_EVENTS)
    await world.page.goto(f"{world.origin}/own/porch")
    return world.page


async def test_the_page_of_the_guide_shows_the_camera_it_names(guide, world):
    await expect(guide.locator("#said")).to_have_text("live")
    await expect(guide.locator("#camera")).to_have_text(f"Front porch, {world.porch.fingerprint}")
    assert await guide.locator("video").evaluate("(video) => [video.videoWidth, video.videoHeight]") == [1280, 720]


async def test_events_come_in_the_order_of_a_call_with_what_the_guide_promises(guide, world):
    await expect(guide.locator("#said")).to_have_text("live")
    figures = await guide.evaluate("""new Promise((resolve) => {
        const timer = setInterval(() => {
            const found = told.find(([type, { fps }]) => type === "figures" && fps > 0);
            if (found) resolve(found[1], clearInterval(timer));
        }, 100);
    })""")
    promised = {"width", "height", "fps", "bitrateBps", "roundTripMs", "latencyMs", "latencyWithinMs"}
    promised |= {"packetsLost", "framesDecoded", "firstPictureMs"}
    assert set(figures) == promised
    told = await guide.evaluate("told.map(([type, detail]) => type === 'state' ? detail.state : type)")
    assert [what for what in told if what != "figures"] == [
        "calling",
        "granted",
        "cameras",
        "connecting",
        "identity",
        "live",
    ]
    identity = dict(await guide.evaluate("told"))["identity"]
    assert identity["dtlsFingerprint"] == identity["fingerprint"] == world.porch.fingerprint
    assert identity["origin"] == world.origin


async def test_a_viewer_closes_the_socket_that_it_opened_when_its_call_ends(guide, world):
    await expect(guide.locator("#said")).to_have_text("live")
    (offer,) = world.porch.offers
    (socket,) = world.fleet.sockets
    world.fleet.left.clear()
    await world.porch.bye(
        offer.sid, "revoked", lambda message: socket.send_json({"device": world.porch.id, "message": message})
    )
    await expect(guide.locator("#said")).to_have_text("ended")
    await expect(guide.locator("#camera")).to_contain_text("taken out of the fleet")
    assert await guide.locator("video").evaluate("(video) => video.srcObject") is None
    await world.fleet.left.wait()
    assert not world.fleet.sockets

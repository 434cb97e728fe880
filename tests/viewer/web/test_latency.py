"""The latency figure: what the browser has measured, or nothing."""

import pytest
from playwright.async_api import expect

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]

# The module itself, with a video and statistics that say what a test wants; gives each figure of `looks`.
LOOK = """async ([ages, report, looks]) => {
    const { Figures } = await import("/web/figures.js");
    const waiting = [];
    const figures = new Figures({ requestVideoFrameCallback: (shown) => waiting.push(shown) });
    const video = { type: "inbound-rtp", kind: "video", remoteId: "report" };
    const stats = new Map([["video", video], ...(report ? [["report", report]] : [])]);
    const taken = [];
    for (let look = 0; look < looks; look += 1) {
        const { latencyMs, latencyWithinMs } = figures.take(stats, 1000 * look);
        taken.push([latencyMs, latencyWithinMs]);
        for (const age of ages) {
            const captured = age === null ? {} : { captureTime: performance.now() - age };
            for (const shown of waiting.splice(0)) shown(performance.now(), captured);
        }
    }
    return { taken, waiting: waiting.length };
}"""
MEASURED = {"totalRoundTripTime": 0.036, "roundTripTimeMeasurements": 3}


async def latency(world, ages, report=None):
    await world.sign_in()
    looked = await world.page.evaluate(LOOK, [ages, report, 2])
    return looked["taken"][1]


async def test_it_is_the_median_age_of_the_pictures_to_within_half_the_round_trip(world):
    milliseconds, within = await latency(world, [38, 41, 40, 900, 39], MEASURED)
    assert 40 <= milliseconds < 60  # the callback itself may take its time
    assert within == 6


@pytest.mark.parametrize(
    "report",
    [None, {}, {"totalRoundTripTime": 0, "roundTripTimeMeasurements": 0}],
    ids=["no report", "a report without a round trip", "a report before the first round trip"],
)
async def test_it_is_not_known_before_the_browser_has_measured_the_round_trip(world, report):
    assert await latency(world, [40, 40, 40], report) == [None, None]


@pytest.mark.parametrize("age", [-500, 11_000, 3_600_000])
async def test_what_no_camera_can_be_late_by_is_not_shown(world, age):
    assert await latency(world, [age] * 5, MEASURED) == [None, None]


async def test_it_is_not_known_of_pictures_without_a_time_of_capture(world):
    assert await latency(world, [None] * 5, MEASURED) == [None, None]


async def test_pictures_that_nobody_asks_about_are_not_followed_for_ever(world):
    await world.sign_in()
    looked = await world.page.evaluate(LOOK, [[40] * 1000, MEASURED, 1])
    assert looked["waiting"] == 0


async def test_a_camera_that_answers_for_no_clock_leaves_a_dash_and_an_explanation(world):
    await world.sign_in()
    await world.see(world.porch)
    await expect(world.page.get_by_test_id("round-trip")).to_contain_text("ms")
    figure = world.page.get_by_test_id("latency")
    await expect(figure).to_have_text("\u2013")
    await expect(figure.locator("..")).to_have_attribute(
        "title", "Not known: camera and browser have not compared their clocks"
    )

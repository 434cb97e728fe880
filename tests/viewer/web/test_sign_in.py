"""Signing in and out, and how the page looks while nobody is watching."""

import pytest
from playwright.async_api import expect

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]


async def test_the_code_of_a_link_signs_in_and_leaves_the_address_bar_at_once(world):
    await world.page.goto(f"{world.origin}/#code=right-code")
    await expect(world.page.locator("#devices li .label")).to_have_text(["Front porch", "Barn"])
    assert world.page.url == f"{world.origin}/"
    assert await world.page.evaluate("history.length") == 2  # about:blank and this one
    await expect(world.page.locator("#sign-in")).to_be_hidden()


async def test_a_typed_code_signs_in(world):
    await world.page.goto(world.origin)
    await expect(world.page.get_by_label("Sign-in code")).to_be_focused()
    await world.page.get_by_label("Sign-in code").fill("  right-code ")
    await world.page.keyboard.press("Enter")
    await expect(world.page.locator("#devices li")).to_have_count(2)


async def test_a_wrong_code_says_so_and_asks_again(world):
    await world.page.goto(f"{world.origin}/#code=wrong-code")
    await world.message("code")
    await expect(world.page.locator("#sign-in")).to_be_visible()
    assert "wrong" not in world.page.url


async def test_a_reload_stays_signed_in_and_signing_out_ends_the_picture(world):
    await world.sign_in()
    await world.page.reload()
    await world.see(world.porch)
    await world.page.get_by_role("button", name="Sign out").click()
    await expect(world.page.locator("#sign-in")).to_be_visible()
    await expect(world.page.locator("#player")).to_be_hidden()
    async with world.porch.heard:
        await world.porch.heard.wait_for(lambda: world.porch.byes)


async def test_a_sign_in_that_ended_meanwhile_asks_for_a_new_code(world):
    await world.sign_in()
    await world.page.context.clear_cookies()
    await world.click(world.porch)
    await world.message("signed-out")
    await expect(world.page.locator("#sign-in")).to_be_visible()


async def test_somebody_without_cameras_is_told_who_can_give_one(world):
    world.fleet.cameras.clear()
    await world.sign_in()
    await expect(world.page.locator("#none")).to_contain_text("camward fleet grant")


async def test_a_label_is_text_whatever_it_looks_like(world):
    world.porch.label = world.fleet.described[world.porch.id]["label"] = "<img src=x onerror=alert(1)>"
    await world.sign_in()
    await world.see(world.porch)
    await expect(world.page.locator("#title")).to_have_text(world.porch.label)
    assert await world.page.locator("#cameras img").count() == 0


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize(("width", "name"), [(1280, "wide"), (390, "narrow")])
async def test_nothing_is_wider_than_the_screen(world, screenshots, theme, width, name):
    await world.page.set_viewport_size({"width": width, "height": 844})
    await world.page.emulate_media(color_scheme=theme)
    await world.page.goto(world.origin)
    await screenshots(world.page, f"sign-in-{name}-{theme}")
    await world.sign_in()
    await screenshots(world.page, f"list-{name}-{theme}")
    await world.see(world.porch)
    await expect(world.page.get_by_test_id("fps")).to_contain_text("fps")
    await screenshots(world.page, f"live-{name}-{theme}")
    world.porch.refusal = "privacy"
    await world.page.locator("#close").click()
    await world.click(world.porch)
    await world.message("privacy")
    await screenshots(world.page, f"refused-{name}-{theme}")
    assert await world.page.evaluate("document.documentElement.scrollWidth <= innerWidth")

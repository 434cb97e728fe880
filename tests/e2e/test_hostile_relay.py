"""Somebody in the gateway's place, between page and camera: it carries messages, and can do no more."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from playwright.async_api import Page, WebSocketRoute, expect

from protocol import jws
from protocol.messages import Answer, Offer
from protocol.names import Role
from tests.kit.caller import TrustTree
from tests.kit.demo import Demo, demo
from tests.kit.pki import new_key

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("demo"), pytest.mark.timeout(120)]

Change = Callable[[str], str]
"""Gets a signed message and gives what the relay passes on in its place."""


async def relay(page: Page, *, to_camera: Change = str, to_page: Change = str) -> None:
    """Sit on the page's WebSocket."""

    def changed(frame: str | bytes, change: Change) -> str:
        said = json.loads(frame)
        if isinstance(said.get("message"), str):
            said["message"] = change(said["message"])
        return json.dumps(said)

    def route(socket: WebSocketRoute) -> None:
        server = socket.connect_to_server()
        socket.on_message(lambda frame: server.send(changed(frame, to_camera)))
        server.on_message(lambda frame: socket.send(changed(frame, to_page)))

    await page.route_web_socket(re.compile(r"/v1/call$"), route)


def answers(change: Callable[[Answer], str]) -> Change:
    def apply(message: str) -> str:
        said = jws.peek(message)
        return change(Answer.parse(said.payload)) if said.typ == jws.typ_of("answer") else message

    return apply


def swap_payload(message: str, payload: str) -> str:
    header, _, signature = message.split(".")
    return f"{header}.{payload.split('.')[1]}.{signature}"


async def click(page: Page, running: Demo) -> None:
    address, code = await running.address()
    await page.goto(f"{address}/#code={code}")
    await page.locator("#devices li[data-device] button").click()


async def sees_nothing(page: Page) -> None:
    seen = "(video) => [video.videoWidth, video.getVideoPlaybackQuality().totalVideoFrames]"
    assert await page.locator("#player video").evaluate(seen) == [0, 0]


@pytest.mark.parametrize("forgery", ["swapped fingerprint", "swapped SDP", "another certificate"])
async def test_a_forged_answer_shows_no_picture(tmp_path: Path, page: Page, forgery: str) -> None:
    mallory = TrustTree().leaf(Role.DEVICE, "a" * 26)

    def forge(answer: Answer) -> str:
        if forgery == "swapped fingerprint":
            fingerprint = "a=fingerprint:sha-256 " + ":".join(["AB"] * 32)
            answer = replace(answer, sdp=re.sub("a=fingerprint:sha-256 .*", fingerprint, answer.sdp))
        elif forgery == "swapped SDP":
            answer = replace(answer, sdp="v=0\r\n")
        return mallory.sign("answer", answer.payload())

    async with demo(tmp_path, "--verbose") as running:
        await relay(page, to_page=answers(forge))
        await click(page, running)

        await expect(page.locator("#message")).to_have_attribute("data-code", "untrusted-answer")
        await sees_nothing(page)


@pytest.mark.parametrize("forger", ["with the old signature", "with its own key"])
async def test_a_changed_offer_opens_no_session(tmp_path: Path, page: Page, forger: str) -> None:
    mallory = new_key()

    def forge(message: str) -> str:
        said = jws.peek(message)
        if said.typ != jws.typ_of("offer"):
            return message
        forged = jws.sign("offer", replace(Offer.parse(said.payload), sdp="v=0\r\n").payload(), key=mallory)
        return swap_payload(message, forged) if forger == "with the old signature" else forged

    async with demo(tmp_path, "--verbose") as running:
        await relay(page, to_camera=forge)
        await click(page, running)

        await running.says("call passed over")
        await sees_nothing(page)
        assert not [line for line in running.lines if "viewer joined" in line or "camera starting" in line]


async def test_a_replayed_offer_opens_no_second_session(tmp_path: Path, page: Page) -> None:
    offers: list[str] = []

    def record(message: str) -> str:
        if jws.peek(message).typ == jws.typ_of("offer"):
            offers.append(message)
        return offers[0] if jws.peek(message).typ == jws.typ_of("bye") else message  # the offer again, for the bye

    async with demo(tmp_path, "--verbose") as running:
        await relay(page, to_camera=record)
        await click(page, running)
        await expect(page.locator("#state")).to_have_text("Live")

        await page.locator("#close").click()

        await running.says("call passed over, malformed: this call was made before")
        await asyncio.sleep(0.5)
        assert sum("sessions: viewer joined" in line for line in running.lines) == 1

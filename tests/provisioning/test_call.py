"""The call's WebSocket: what passes, and what bounds it."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import aiohttp
import pytest
from aiohttp import ClientSession, ClientWebSocketResponse, WSMsgType

from protocol import jws, topics
from provisioning.call import BURST, MAX_FRAME, MOST_WAITING
from tests.kit.caller import Caller, Signer
from tests.kit.pki import enrol
from tests.kit.site import LIVE, Web, answer, until


async def next_frame(ws: ClientWebSocketResponse) -> dict[str, Any]:
    async with asyncio.timeout(20):
        return dict(await ws.receive_json())


def calling(web: Web) -> str:
    by = Caller(
        device=web.device.id,
        authoriser=Signer(key=web.authoriser.key, chain=list(web.authoriser.chain)),
        reply="gateway",
    )
    return by.offer(challenge="c" * 22, grant=by.grant(time.time()))


async def test_a_call_goes_out_and_its_answer_comes_back(web: Web, anna: ClientSession) -> None:
    web.online()
    async with anna.ws_connect("/v1/call") as ws:
        first = await next_frame(ws)
        assert first["device"] == web.device.id
        assert jws.peek(first["message"]).typ == jws.typ_of("status")
        offer = calling(web)
        await ws.send_json({"device": web.device.id, "message": offer})
        await until(lambda: bool(web.sent))
        assert web.sent == [(topics.call(web.device.id), offer)]
        said = answer(offer, web.camera, web.device.id)
        web.gateway.received(topics.reply(web.device.id, "gateway"), said)
        assert await next_frame(ws) == {"device": web.device.id, "message": said.decode()}


@pytest.mark.parametrize("origin", ["https://evil.example", "null", None])
async def test_a_call_from_another_origin_is_refused(web: Web, anna: ClientSession, origin: str | None) -> None:
    cookie = next(iter(anna.cookie_jar)).value
    headers = {"Cookie": f"camward={cookie}"} | ({"Origin": origin} if origin else {})
    async with ClientSession(web.origin) as other:
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            await other.ws_connect("/v1/call", headers=headers)
    assert refused.value.status == 403


@pytest.mark.parametrize("frame", ["", "x", "[]", "{}", '{"device":1,"message":2}', '{"device":"a","message":"b"}'])
async def test_a_frame_that_is_no_call_is_told_so_and_the_socket_stays(
    web: Web, anna: ClientSession, frame: str
) -> None:
    async with anna.ws_connect("/v1/call") as ws:
        await ws.send_str(frame)
        assert (await next_frame(ws))["error"] == "forbidden"
        await ws.send_json({"device": web.device.id, "message": "x" * (jws.MAX_MESSAGE + 1)})
        assert (await next_frame(ws))["error"] == "too-long"


async def test_a_frame_of_any_length_costs_no_memory(anna: ClientSession) -> None:
    async with anna.ws_connect("/v1/call") as ws:
        await ws.send_str("x" * (MAX_FRAME + 1))
        message = await ws.receive(5)
        assert (message.type, message.data) == (WSMsgType.CLOSE, 1009)


async def test_too_many_messages_at_once_are_dropped_and_told_once(web: Web, anna: ClientSession) -> None:
    web.online()
    async with anna.ws_connect("/v1/call") as ws:
        await next_frame(ws)
        for _ in range(BURST + 10):
            await ws.send_json({"device": web.device.id, "message": "noise"})
        errors = [(await next_frame(ws))["error"] for _ in range(BURST + 1)]
        assert errors[:BURST] == ["forbidden"] * BURST
        assert errors[BURST] == "rate"


async def test_a_browser_that_takes_nothing_is_cut_off(web: Web, anna: ClientSession) -> None:
    web.online()
    ws = await anna.ws_connect("/v1/call", max_msg_size=0)
    offer = calling(web)
    await ws.send_json({"device": web.device.id, "message": offer})
    await until(lambda: bool(web.sent))
    said = answer(offer, web.camera, web.device.id, sdp="x" * 30_000)
    ws._conn.protocol.pause_reading()
    for _ in range(MOST_WAITING * 20):
        web.gateway.received(topics.reply(web.device.id, "gateway"), said)
        await asyncio.sleep(0)
        if not web.gateway.sockets():
            break
    await until(lambda: not web.gateway.sockets())
    await ws.close()


async def test_only_the_newest_status_waits_for_a_browser(web: Web, anna: ClientSession) -> None:
    async with anna.ws_connect("/v1/call") as ws:
        await until(lambda: bool(web.gateway.sockets()))
        for viewers in range(3 * MOST_WAITING):
            web.online(viewers)
        last = await next_frame(ws)
        assert jws.peek(last["message"]).payload["viewers"] == 3 * MOST_WAITING - 1


async def test_a_permission_that_comes_while_the_socket_is_open_is_used(
    web: Web, browser: ClientSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("provisioning.call._RECHECK_S", 0.05)
    web.online()
    other = enrol(web.fleet, web.registry, "SN2")
    async with browser.post("/v1/sign-in", json={"code": web.code("ben", other.id)}):
        pass
    async with browser.ws_connect("/v1/call") as ws:
        await ws.send_json({"device": web.device.id, "message": calling(web)})
        assert (await next_frame(ws))["error"] == "forbidden"
        web.people.permit("ben", device=web.device.id, scope=LIVE, is_app=False, now=web.now())
        assert (await next_frame(ws))["device"] == web.device.id


async def test_signing_out_closes_the_socket(web: Web, anna: ClientSession, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("provisioning.call._RECHECK_S", 0.05)
    async with anna.ws_connect("/v1/call") as ws:
        async with anna.post("/v1/sign-out", json={}) as response:
            assert response.status == 204
        message = await ws.receive(5)
        assert (message.type, message.extra) == (WSMsgType.CLOSE, "signed-out")
    await until(lambda: not web.gateway.sockets())

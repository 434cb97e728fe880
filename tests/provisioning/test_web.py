"""Page and API over real HTTP, with a cookie as a browser has it."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from aiohttp import ClientSession

from protocol import jws
from protocol.messages import Grant
from protocol.names import Role
from provisioning.people import SESSION_LIFE
from provisioning.web import page_files
from tests.kit.pki import enrol, new_key
from tests.kit.site import Web

JWK = jws.public_jwk(new_key().public_key())


async def error(request: Any) -> tuple[int, str]:
    async with request as response:
        body = await response.json()
        assert set(body) == {"error", "message"}
        assert body["message"].endswith(".")
        return response.status, body["error"]


# The page.


async def test_the_page_and_its_modules_are_served_with_a_strict_policy(web: Web, browser: ClientSession) -> None:
    for path, kind in (("/", "text/html"), ("/web/page.js", "text/javascript"), ("/web/style.css", "text/css")):
        async with browser.get(path) as response:
            assert (response.status, response.content_type) == (200, kind)
            policy = response.headers["Content-Security-Policy"]
            assert policy.startswith("default-src 'self';")
            assert "unsafe" not in policy
            assert "frame-ancestors 'none'" in policy
            assert response.headers["X-Content-Type-Options"] == "nosniff"
            assert "Server" not in response.headers


@pytest.mark.parametrize("path", ["/web/../web.py", "/web/%2e%2e%2f__init__.py", "/web/__init__.py", "/web/", "/x"])
async def test_nothing_else_of_the_folder_is_served(browser: ClientSession, path: str) -> None:
    async with browser.get(path) as response:
        assert response.status == 404


def test_the_page_s_files_are_found_without_the_viewer_s_code() -> None:
    assert {"index.html", "page.js", "style.css"} <= set(page_files())


# Signing in.


async def test_a_code_signs_in_once_with_a_cookie_that_scripts_cannot_read(web: Web, browser: ClientSession) -> None:
    code = web.code()
    async with browser.post("/v1/sign-in", json={"code": code}) as response:
        assert response.status == 204
        cookie = response.cookies["camward"]
        assert cookie["httponly"]
        assert (cookie["samesite"], cookie["path"], cookie["secure"]) == ("Strict", "/", "")
        assert response.headers["Cache-Control"] == "no-store"
    assert await error(browser.post("/v1/sign-in", json={"code": code})) == (401, "code")


async def test_after_ten_wrong_codes_an_address_waits(web: Web, browser: ClientSession) -> None:
    for _ in range(10):
        assert await error(browser.post("/v1/sign-in", json={"code": "wrong"})) == (401, "code")
    code = web.code()
    assert await error(browser.post("/v1/sign-in", json={"code": code})) == (429, "rate")
    web.later = timedelta(minutes=1)
    async with browser.post("/v1/sign-in", json={"code": code}) as response:
        assert response.status == 204


async def test_signing_out_ends_the_session(anna: ClientSession) -> None:
    async with anna.get("/v1/devices") as response:
        assert response.status == 200
    async with anna.post("/v1/sign-out", json={}) as response:
        assert response.status == 204
    assert await error(anna.get("/v1/devices")) == (401, "signed-out")


async def test_a_session_ends_by_itself(web: Web, anna: ClientSession) -> None:
    web.later = SESSION_LIFE
    assert await error(anna.get("/v1/devices")) == (401, "signed-out")


@pytest.mark.parametrize(
    ("body", "headers", "status"),
    [
        (b'{"code":"x"}', {"Content-Type": "text/plain"}, 415),
        (b"not json", {"Content-Type": "application/json"}, 400),
        (b"[1]", {"Content-Type": "application/json"}, 400),
        (b"[" * 5000, {"Content-Type": "application/json"}, 400),
        (b'"' + b"x" * 10_000 + b'"', {"Content-Type": "application/json"}, 413),
    ],
)
async def test_a_body_that_is_no_small_json_object_is_refused(
    browser: ClientSession, body: bytes, headers: dict[str, str], status: int
) -> None:
    assert await error(browser.post("/v1/sign-in", data=body, headers=headers)) == (status, "malformed")


@pytest.mark.parametrize("path", ["/v1/sign-in", "/v1/sign-out", "/v1/grants"])
async def test_another_site_s_page_sends_nothing(anna: ClientSession, path: str) -> None:
    foreign = {"Origin": "https://evil.example"}
    assert await error(anna.post(path, json={}, headers=foreign)) == (403, "forbidden")


# What one may see.


async def test_a_person_sees_only_the_devices_that_were_granted(web: Web, browser: ClientSession) -> None:
    other = enrol(web.fleet, web.registry, "SN2")
    web.online()
    async with browser.post("/v1/sign-in", json={"code": web.code("ben", other.id)}) as response:
        assert response.status == 204
    async with browser.get("/v1/devices") as response:
        assert await response.json() == {"devices": [{"id": other.id, "label": "SN2", "presence": "unknown"}]}
    refused = browser.post("/v1/grants", json={"device": web.device.id, "jwk": JWK, "scope": "live"})
    assert await error(refused) == (403, "forbidden")


async def test_devices_are_listed_with_their_presence(web: Web, anna: ClientSession) -> None:
    web.online()
    web.registry.claim("SN3", "not enrolled", web.now())
    async with anna.get("/v1/devices") as response:
        assert await response.json() == {"devices": [{"id": web.device.id, "label": "SN1", "presence": "online"}]}


# Grants.


def wanted(web: Web, **changes: Any) -> dict[str, Any]:
    return {"device": web.device.id, "jwk": JWK, "scope": "live"} | changes


async def test_a_grant_comes_with_what_a_browser_needs_to_know_the_camera(web: Web, anna: ClientSession) -> None:
    async with anna.post("/v1/grants", json=wanted(web)) as response:
        assert response.status == 200
        body = await response.json()
    message = jws.peek(body["grant"])
    signer = jws.verify_by_chain(message, "grant", root=web.fleet.root, role=Role.AUTHORISER, now=web.now())
    grant = Grant.parse(message.payload)
    assert (signer.name, grant.sub, grant.aud, grant.jkt) == ("fleet", "anna", web.device.id, jws.jwk_thumbprint(JWK))
    assert (body["caller"], body["ice_servers"]) == ("gateway", [])
    assert (body["device"]["id"], body["device"]["label"]) == (web.device.id, "SN1")
    assert [key["jwk"] for key in body["device"]["keys"]] == [jws.public_jwk(web.device.operational.key.public_key())]


@pytest.mark.parametrize(
    "changes",
    [{"jwk": {}}, {"jwk": None}, {"jwk": JWK | {"x": "AA"}}, {"scope": "everything"}, {"scope": None}, {"device": 1}],
)
async def test_a_malformed_request_for_a_grant_is_refused(
    web: Web, anna: ClientSession, changes: dict[str, Any]
) -> None:
    assert await error(anna.post("/v1/grants", json=wanted(web, **changes))) == (400, "malformed")


async def test_a_scope_that_was_not_given_is_forbidden(web: Web, anna: ClientSession) -> None:
    assert await error(anna.post("/v1/grants", json=wanted(web, scope="control"))) == (403, "forbidden")


async def test_no_grant_for_a_device_that_is_unknown_revoked_or_not_enrolled(web: Web, anna: ClientSession) -> None:
    assert await error(anna.post("/v1/grants", json=wanted(web, device="b" * 26))) == (404, "unknown")
    claimed = web.registry.claim("SN4", "new", web.now()).device
    assert await error(anna.post("/v1/grants", json=wanted(web, device=claimed))) == (409, "not-enrolled")
    web.registry.revoke(web.device.id, web.now())
    assert await error(anna.post("/v1/grants", json=wanted(web))) == (409, "revoked")


async def test_without_signing_in_there_is_nothing(web: Web, browser: ClientSession) -> None:
    assert await error(browser.get("/v1/devices")) == (401, "signed-out")
    assert await error(browser.post("/v1/grants", json=wanted(web))) == (401, "signed-out")
    assert await error(browser.get("/v1/call")) == (401, "signed-out")

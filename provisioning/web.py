"""The page and the API: sign in, list, grant, call (docs/reference/protocol.md, two ways to call)."""

from __future__ import annotations

import asyncio
import importlib.util
import secrets
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from aiohttp import web

from protocol.certificates import role_of
from protocol.errors import Malformed, Untrusted
from protocol.messages import SCOPES
from protocol.names import Role
from provisioning.api import ApiError, read_json
from provisioning.attempts import Attempts
from provisioning.broker import GATEWAY
from provisioning.call import serve_call
from provisioning.errors import Unknown
from provisioning.files import Leaf
from provisioning.gateway import Gateway
from provisioning.grants import known_key, make_grant
from provisioning.ice import IceServers
from provisioning.people import SESSION_LIFE, People, Permissions
from provisioning.registry import Registry
from provisioning.tls import client_certificate

COOKIE: Final = "camward"
_TYPES: Final = {
    ".html": "text/html",
    ".js": "text/javascript",
    ".mjs": "text/javascript",
    ".css": "text/css",
    ".svg": "image/svg+xml",
    ".json": "application/json",
}


class Site:
    """The page and the API of one fleet; `authoriser` gives the credentials that sign grants now."""

    def __init__(
        self,
        *,
        registry: Registry,
        people: People,
        gateway: Gateway,
        authoriser: Callable[[], Leaf],
        ice: IceServers,
        clock: Callable[[], datetime],
    ) -> None:
        self._registry, self._people, self._gateway = registry, people, gateway
        self._authoriser, self._ice, self._clock = authoriser, ice, clock
        self._wrong_codes = Attempts(most=10, window=timedelta(minutes=1))
        self._files = page_files()

    def routes(self) -> list[web.RouteDef]:
        """Give the routes."""
        return [
            web.get("/", self._page),
            web.get("/web/{name}", self._file),
            web.post("/v1/sign-in", self._sign_in),
            web.post("/v1/sign-out", self._sign_out),
            web.get("/v1/devices", self._devices),
            web.post("/v1/grants", self._grants),
            web.get("/v1/call", self._call),
        ]

    async def _page(self, _request: web.Request) -> web.StreamResponse:
        return self._static("index.html")

    async def _file(self, request: web.Request) -> web.StreamResponse:
        return self._static(request.match_info["name"])

    def _static(self, name: str) -> web.StreamResponse:
        path = self._files.get(name)
        if path is None:
            raise web.HTTPNotFound(text="there is no such page\n")
        return web.FileResponse(path, headers={"Content-Type": _TYPES[path.suffix], "Cache-Control": "no-cache"})

    async def _sign_in(self, request: web.Request) -> web.Response:
        now, address = self._clock(), request.remote or ""
        if wait := self._wrong_codes.wait(address, now):
            raise ApiError(429, "rate", f"Too many wrong codes: wait {int(wait.total_seconds()) + 1} seconds.")
        code = (await read_json(request)).get("code")
        cookie = await asyncio.to_thread(self._people.sign_in, code, now) if isinstance(code, str) else None
        if cookie is None:
            self._wrong_codes.failed(address, now)
            raise ApiError(401, "code", "This code is wrong, used or too old: `camward fleet grant` makes a new one.")
        response = web.Response(status=204)
        age_s = int(SESSION_LIFE.total_seconds())
        secure = request.secure
        response.set_cookie(COOKIE, cookie, max_age=age_s, httponly=True, samesite="Strict", secure=secure)
        return response

    async def _sign_out(self, request: web.Request) -> web.Response:
        await asyncio.to_thread(self._people.sign_out, request.cookies.get(COOKIE, ""))
        response = web.Response(status=204)
        response.del_cookie(COOKIE)
        return response

    async def _devices(self, request: web.Request) -> web.Response:
        _, permissions = await self._caller(request)
        listed = await asyncio.to_thread(self._registry.devices)
        devices = [
            {"id": device.id, "label": device.label, "presence": self._gateway.presence(device.id)}
            for device in listed
            if device.state == "enrolled" and permissions.allow(device.id)
        ]
        return web.json_response({"devices": devices})

    async def _grants(self, request: web.Request) -> web.Response:
        (name, caller), permissions = await self._caller(request)
        wanted = await read_json(request)
        device_id, jwk, scope = wanted.get("device"), wanted.get("jwk"), wanted.get("scope")
        scopes = frozenset(scope.split(" ")) if isinstance(scope, str) else frozenset[str]()
        if not isinstance(device_id, str) or not isinstance(jwk, dict) or not scopes or not scopes <= SCOPES:
            raise ApiError(400, "malformed", "A device, the viewer's public key as a JWK, and a scope are wanted.")
        if not all(permissions.allow(device_id, each) for each in scopes):
            raise ApiError(403, "forbidden", "You may not watch this camera.")
        now = self._clock()
        try:
            device = await asyncio.to_thread(self._registry.device, device_id)
        except Unknown as error:
            raise ApiError(404, "unknown", "There is no such camera.") from error
        if device.state == "revoked":
            raise ApiError(409, "revoked", "This camera was revoked: it may not be watched any more.")
        certificates = await asyncio.to_thread(self._registry.valid_certificates, device_id, now)
        if not certificates:
            raise ApiError(409, "not-enrolled", "This camera has no certificate yet: enrol it first.")
        try:
            grant = make_grant(
                self._authoriser(),
                person=name,
                device=device_id,
                jwk=jwk,
                scope=scopes,
                jti=secrets.token_urlsafe(16),
                now=now,
            )
        except Malformed as error:
            raise ApiError(400, "malformed", "The viewer's key is not a public P-256 JWK.") from error
        keys = [known_key(certificate) for certificate in certificates]
        described = {"id": device.id, "label": device.label, "keys": keys}
        ice_servers = self._ice.for_viewer(secrets.token_hex(4), now)  # a TURN server need not know who watches
        return web.json_response({"grant": grant, "caller": caller, "device": described, "ice_servers": ice_servers})

    async def _call(self, request: web.Request) -> web.StreamResponse:
        if request.headers.get("Origin") != f"{request.scheme}://{request.host}":
            raise ApiError(403, "forbidden", "A call comes from this fleet's own page.")
        cookie = request.cookies.get(COOKIE, "")
        if await self._access(cookie) is None:
            raise _signed_out()
        return await serve_call(request, self._gateway, lambda: self._access(cookie))

    async def _caller(self, request: web.Request) -> tuple[tuple[str, str], Permissions]:
        """Say who asks, and under which caller's name a device answers. Errors: ApiError."""
        leaf = client_certificate(request)
        if leaf is not None:
            try:
                role, name = role_of(leaf)
            except Untrusted as error:
                raise _signed_out() from error
            if role is Role.APP:
                return (name, name), await asyncio.to_thread(self._people.permissions, name)
        person = await asyncio.to_thread(self._people.person_of, request.cookies.get(COOKIE, ""), self._clock())
        if person is None:
            raise _signed_out()
        return (person, GATEWAY), await asyncio.to_thread(self._people.permissions, person)

    async def _access(self, cookie: str) -> Permissions | None:
        person = await asyncio.to_thread(self._people.person_of, cookie, self._clock())
        return None if person is None else await asyncio.to_thread(self._people.permissions, person)


def page_files() -> Mapping[str, Path]:
    """Name the files of viewer/web: found as a folder, because this room imports nothing of the viewer's."""
    found = importlib.util.find_spec("viewer")
    folders = list(found.submodule_search_locations or ()) if found is not None else []
    return {path.name: path for folder in folders for path in Path(folder, "web").iterdir() if path.suffix in _TYPES}


def _signed_out() -> ApiError:
    return ApiError(401, "signed-out", "Sign in first.")

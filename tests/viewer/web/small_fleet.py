"""As much of a fleet service as the viewer sees: the page, its API, and a WebSocket that relays to cameras."""

from __future__ import annotations

import asyncio
import secrets
import time
from pathlib import Path
from typing import Any

from aiohttp import WSMsgType, web
from cryptography.hazmat.primitives.asymmetric import ec

from protocol import jws
from protocol.messages import Grant
from tests.viewer.web.camera import Camera

WEB = Path(__file__).parents[3] / "viewer" / "web"
POLICY = (
    "default-src 'self'; connect-src 'self'; img-src 'self' data:; media-src 'self' blob: mediastream:; "
    "base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)


def error(status: int, code: str) -> web.Response:
    return web.json_response({"error": code, "message": f"what the service says about {code}."}, status=status)


class SmallFleet:
    """Serves `cameras`. What tests change: from `codes` to `described`."""

    def __init__(self, *cameras: Camera) -> None:
        self.cameras = {camera.id: camera for camera in cameras}
        self.codes = {"right-code"}
        self.grant_error: tuple[int, str] | None = None
        self.ice_servers: list[dict[str, Any]] = []
        self.call_error = ""
        self.own_pages: dict[str, str] = {}  # HTML that a reverse proxy would serve beside the fleet's
        self.shut = False  # takes no WebSocket
        self.tamper = lambda message: message  # what somebody in between does to a device's messages
        self.described = {camera.id: camera.described() for camera in cameras}
        self.viewer_keys: list[dict[str, str]] = []
        self.sockets: set[web.WebSocketResponse] = set()
        self.left = asyncio.Event()  # a page has closed its WebSocket
        self._cookies: set[str] = set()
        self._authoriser = ec.generate_private_key(ec.SECP256R1())
        self._tasks: set[asyncio.Task[None]] = set()
        for camera in cameras:
            camera.publish = self.publish

    def app(self) -> web.Application:
        app = web.Application()
        app.router.add_get("/", self._page)
        app.router.add_get("/web/{name}", self._page)
        app.router.add_get("/own/{name}", self._own_page)
        app.router.add_post("/v1/sign-in", self._sign_in)
        app.router.add_post("/v1/sign-out", self._sign_out)
        app.router.add_get("/v1/devices", self._devices)
        app.router.add_post("/v1/grants", self._grants)
        app.router.add_get("/v1/call", self._call)
        return app

    async def publish(self) -> None:
        """Tell every page each camera's status anew."""
        for socket in list(self.sockets):
            for camera in self.cameras.values():
                await self._tell(socket, camera, camera.status())

    async def refuse(self, camera: Camera, code: str) -> None:
        """Tell every page, unasked, that a camera is not served."""
        for socket in list(self.sockets):
            await socket.send_json({"device": camera.id, "error": code, "message": "no."})

    async def lose_sockets(self) -> None:
        for socket in list(self.sockets):
            await socket.close()

    async def close(self) -> None:
        await self.lose_sockets()
        for task in list(self._tasks):
            task.cancel()
        for camera in self.cameras.values():
            await camera.close_all()

    async def _tell(self, socket: web.WebSocketResponse, camera: Camera, message: str) -> None:
        if not socket.closed:
            await socket.send_json({"device": camera.id, "message": self.tamper(message)})

    def _signed_in(self, request: web.Request) -> bool:
        return request.cookies.get("camward") in self._cookies

    async def _page(self, request: web.Request) -> web.FileResponse:
        name = request.match_info.get("name", "index.html")
        return web.FileResponse(WEB / Path(name).name, headers={"Content-Security-Policy": POLICY})

    async def _own_page(self, request: web.Request) -> web.Response:
        return web.Response(text=self.own_pages[request.match_info["name"]], content_type="text/html")

    async def _sign_in(self, request: web.Request) -> web.Response:
        code = (await request.json())["code"]
        if code not in self.codes:
            return error(401, "code")
        self.codes.discard(code)
        cookie = secrets.token_hex(16)
        self._cookies.add(cookie)
        response = web.Response(status=204)
        response.set_cookie("camward", cookie, httponly=True, samesite="Strict")
        return response

    async def _sign_out(self, request: web.Request) -> web.Response:
        self._cookies.discard(request.cookies.get("camward", ""))
        return web.Response(status=204)

    async def _devices(self, request: web.Request) -> web.Response:
        if not self._signed_in(request):
            return error(401, "signed-out")
        devices = [{"id": c.id, "label": c.label, "presence": c.presence} for c in self.cameras.values()]
        return web.json_response({"devices": devices})

    async def _grants(self, request: web.Request) -> web.Response:
        if not self._signed_in(request):
            return error(401, "signed-out")
        if self.grant_error:
            return error(*self.grant_error)
        asked: dict[str, Any] = await request.json()
        assert asked["scope"] == "live"
        self.viewer_keys.append(asked["jwk"])
        now = int(time.time())
        grant = Grant(
            iss="fleet",
            sub="somebody",
            aud=asked["device"],
            scope=frozenset({"live"}),
            iat=now,
            exp=now + 300,
            jti=secrets.token_hex(8),
            jkt=jws.jwk_thumbprint(asked["jwk"]),
            session_s=3600,
        )
        signed = jws.sign("grant", grant.payload(), key=self._authoriser)
        device = self.described[asked["device"]]
        return web.json_response(
            {"grant": signed, "caller": "gateway", "device": device, "ice_servers": self.ice_servers}
        )

    async def _call(self, request: web.Request) -> web.WebSocketResponse:
        if self.shut or not self._signed_in(request) or request.headers["Origin"] != f"http://{request.host}":
            raise web.HTTPForbidden
        socket = web.WebSocketResponse(max_msg_size=2 * jws.MAX_MESSAGE)
        await socket.prepare(request)
        self.sockets.add(socket)
        for camera in self.cameras.values():
            await self._tell(socket, camera, camera.status())
        async for frame in socket:
            if frame.type is WSMsgType.TEXT:
                relayed = asyncio.create_task(self._relay(socket, frame.json()))
                self._tasks.add(relayed)
                relayed.add_done_callback(self._tasks.discard)
        self.sockets.discard(socket)
        self.left.set()
        return socket

    async def _relay(self, socket: web.WebSocketResponse, frame: dict[str, Any]) -> None:
        if self.call_error:
            return await socket.send_json({"device": frame["device"], "error": self.call_error, "message": "no."})
        camera = self.cameras[frame["device"]]
        await camera.receive(frame["message"], lambda message: self._tell(socket, camera, message))
        return None

"""What every route of page and API stands behind: headers, origins, body caps, and refusals as JSON."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, Final

from aiohttp import web

MAX_BODY: Final = 8 * 1024
_HEADERS: Final = {
    "Content-Security-Policy": (
        "default-src 'self'; img-src 'self' data:; base-uri 'none'; object-src 'none'; form-action 'self'; "
        "frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}


class ApiError(Exception):
    """A refusal that the API says as {"error", "message"}."""

    def __init__(self, status: int, error: str, message: str) -> None:
        super().__init__(message)
        self.status, self.error = status, error


def application(routes: Iterable[web.RouteDef]) -> web.Application:
    """Make an application of routes, behind all that stands here."""
    made = web.Application(middlewares=[_guard], client_max_size=MAX_BODY)
    made.on_response_prepare.append(_harden)
    made.add_routes(routes)
    return made


@web.middleware
async def _guard(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    # A browser names the origin of whatever a page sends; a command or an app names none.
    try:
        origin = request.headers.get("Origin")
        if request.method != "GET" and origin not in {None, f"{request.scheme}://{request.host}"}:
            raise ApiError(403, "forbidden", "This was sent by another site's page.")
        return await handler(request)
    except ApiError as error:
        return web.json_response({"error": error.error, "message": str(error)}, status=error.status)


async def _harden(request: web.Request, response: web.StreamResponse) -> None:
    response.headers.update(_HEADERS)
    response.headers.pop("Server", None)
    if request.path.startswith("/v1/"):
        response.headers["Cache-Control"] = "no-store"


async def read_json(request: web.Request) -> dict[str, Any]:
    """Read a JSON object. Errors: ApiError."""
    if request.content_type != "application/json":
        raise ApiError(415, "malformed", "The content type application/json is wanted.")
    body = bytearray()
    async for piece in request.content.iter_chunked(MAX_BODY):
        body += piece
        if len(body) > MAX_BODY:
            raise ApiError(413, "malformed", f"A request has at most {MAX_BODY} bytes.")
    try:
        value = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise ApiError(400, "malformed", "The body is not JSON.") from error
    if not isinstance(value, dict):
        raise ApiError(400, "malformed", "The body is not a JSON object.")
    return value

"""The fleet service's HTTP API, as this viewer needs it: sign in, and a grant."""

from __future__ import annotations

import contextlib
import ipaddress
import ssl
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any, Final

import aiohttp
from yarl import URL

from protocol.jws import MAX_MESSAGE
from viewer.call import Granted, IceServer
from viewer.errors import Declined, Fault, NotVerified, Usage

_TIMEOUT: Final = aiohttp.ClientTimeout(total=10)


def parse_fleet(text: str) -> URL:
    """Read `--fleet`. Errors: Usage, also for plain HTTP to anything but this machine: a code would go in clear."""
    try:
        url = URL(text)
        origin = url.origin()
    except ValueError as error:
        raise Usage("fleet", f"--fleet is an address such as https://camera.example:8443, not {text!r}.") from error
    if url.scheme not in {"http", "https"} or url.path not in {"", "/"} or url.query_string:
        raise Usage("fleet", f"--fleet is an address such as https://camera.example:8443, not {text!r}.")
    if url.scheme == "http" and not _is_local(url.host or ""):
        raise Usage("fleet", "--fleet takes plain http only on localhost; use https.")
    return origin


def tls(root: Path, client: Path | None = None) -> ssl.SSLContext:
    """Trust the fleet's root and nothing else; show the key and chain in `client`. Errors: Usage."""
    try:
        context = ssl.create_default_context(cafile=str(root))
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        if client is not None:
            context.load_cert_chain(client)
    except (OSError, ValueError) as error:
        raise Usage("file", f"{client or root} cannot be used for TLS: {error}.") from error
    return context


class Fleet:
    """One fleet service; `connect` makes it."""

    def __init__(self, origin: URL, session: aiohttp.ClientSession) -> None:
        self.origin = origin
        self._session = session

    @classmethod
    @contextlib.asynccontextmanager
    async def connect(cls, origin: URL, context: ssl.SSLContext) -> AsyncIterator[Fleet]:
        """Open a client, and sign it out at the end."""
        jar = aiohttp.CookieJar(unsafe=True)  # also takes cookies of a host that is an address
        connector = aiohttp.TCPConnector(ssl=context, force_close=True)  # one of before may be from another network
        async with aiohttp.ClientSession(connector=connector, cookie_jar=jar, timeout=_TIMEOUT) as session:
            fleet = cls(origin, session)
            try:
                yield fleet
            finally:
                if len(jar):
                    with contextlib.suppress(Fault, Declined, NotVerified):
                        await fleet._ask("/v1/sign-out")

    async def sign_in(self, code: str) -> None:
        """Trade a one-time code for a cookie, which this object keeps. Errors: Declined, Fault, NotVerified."""
        await self._ask("/v1/sign-in", {"code": code})

    async def grant(self, device: str, jwk: dict[str, str]) -> Granted:
        """Ask for permission to watch. Errors: Declined, Fault, NotVerified."""
        given = await self._ask("/v1/grants", {"device": device, "jwk": jwk, "scope": "live"})
        try:
            return Granted(
                token=str(given["grant"]),
                caller=str(given["caller"]),
                certificates=frozenset(str(key["x5t#S256"]) for key in given["device"]["keys"]),
                ice_servers=tuple(map(_ice_server, given["ice_servers"])),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise Fault("fleet", "The fleet's grant is not of the form that this viewer knows.") from error

    @contextlib.asynccontextmanager
    async def call(self) -> AsyncIterator[aiohttp.ClientWebSocketResponse]:
        """Open the gateway's WebSocket. Errors: Declined, Fault, NotVerified."""
        with self._told_plainly():
            socket = await self._session.ws_connect(
                self.origin / "v1/call", origin=str(self.origin), heartbeat=30, max_msg_size=2 * MAX_MESSAGE
            )
        try:
            yield socket
        finally:
            await socket.close()

    async def _ask(self, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        with self._told_plainly():
            # Its own origin, as a browser's page would say it.
            headers = {"Origin": str(self.origin)}
            async with self._session.post(self.origin.with_path(path), json=body, headers=headers) as response:
                answer = {} if response.status == 204 else await response.json()
        if not isinstance(answer, dict):
            raise Fault("fleet", f"{self.origin} does not answer like a fleet; check --fleet.")
        if response.status >= 400:
            raise Declined(str(answer.get("error"))[:64])
        return answer

    @contextlib.contextmanager
    def _told_plainly(self) -> Iterator[None]:
        try:
            yield
        except aiohttp.ClientConnectorCertificateError as error:
            raise NotVerified("untrusted-fleet") from error
        except (aiohttp.ContentTypeError, ValueError) as error:
            raise Fault("fleet", f"{self.origin} does not answer like a fleet; check --fleet.") from error
        except aiohttp.WSServerHandshakeError as error:
            raise Declined("forbidden" if error.status == 403 else "signed-out") from error
        except (aiohttp.ClientError, OSError) as error:
            why = str(error) or "no answer in time"
            raise Fault("unreachable", f"The fleet at {self.origin} cannot be reached: {why}.") from error


def _ice_server(given: Any) -> IceServer:
    urls = given["urls"]
    return IceServer(
        urls=(urls,) if isinstance(urls, str) else tuple(map(str, urls)),
        username=given.get("username"),
        credential=given.get("credential"),
    )


def _is_local(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"

"""EST on aiohttp (RFC 7030, RFC 8951): cacerts, simpleenroll, and the same for operational certificates.

Every body is ONE line of base64 and a newline: the only form that strongSwan, libest and curl all take.
"""

from __future__ import annotations

import asyncio
import base64
import logging
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Final

from aiohttp import BasicAuth, web
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, pkcs7

from protocol.names import Issuer, Role
from provisioning import ca, policy
from provisioning.attempts import Attempts
from provisioning.errors import CertificateRefused, ClaimRefused, Unknown
from provisioning.issued import Sign
from provisioning.policy import MAX_CSR, RequestRefused, WrongRole
from provisioning.registry import Registry
from provisioning.store import Fleet
from provisioning.tls import client_certificate

BASE: Final = "/.well-known/est"
_log = logging.getLogger(__name__)
_CERTS_ONLY: Final = "application/pkcs7-mime; smime-type=certs-only"
_CHALLENGE: Final = {"WWW-Authenticate": 'Basic realm="camward", charset="UTF-8"'}


class Enrolment:
    """The EST service of one fleet; `clock` gives the time in UTC."""

    def __init__(self, fleet: Fleet, registry: Registry, clock: Callable[[], datetime]) -> None:
        self._fleet = fleet
        self._registry = registry
        self._clock = clock
        self._wrong_codes = Attempts(most=10, window=timedelta(minutes=1))

    def routes(self) -> list[web.RouteDef]:
        """Give the routes, to be served on HTTPS only."""
        return [
            web.get(f"{BASE}/cacerts", self._cacerts),
            web.post(f"{BASE}/simpleenroll", self._simpleenroll),
            web.post(f"{BASE}/operational/simpleenroll", self._operational_simpleenroll),
            web.post(f"{BASE}/operational/simplereenroll", self._operational_simplereenroll),
            web.post(f"{BASE}/simplereenroll", self._operational_simplereenroll),  # for clients that know no label
        ]

    async def _cacerts(self, _request: web.Request) -> web.Response:
        issuers = [self._fleet.authorities[issuer].certificate for issuer in (Issuer.BIRTH, Issuer.DEVICE)]
        return _certificates(self._fleet.root, *issuers, content_type="application/pkcs7-mime")

    async def _simpleenroll(self, request: web.Request) -> web.Response:
        now, address = self._clock(), request.remote or ""
        if wait := self._wrong_codes.wait(address, now):
            retry = {"Retry-After": str(int(wait.total_seconds()) + 1)}
            return _refusal(429, "too many wrong codes came from this address: wait a minute", retry)
        try:
            given = BasicAuth.decode(request.headers.get("Authorization", ""))
        except ValueError:
            return _refusal(401, "a hardware serial and its one-time code are wanted, as HTTP Basic", _CHALLENGE)
        try:
            key = policy.requested_key(await _body(request))
            sign = self._signer(Role.BIRTH, key, now)
            leaf = await asyncio.to_thread(self._registry.redeem, given.password, given.login, key, now, sign)
        except RequestRefused as error:
            return _refusal(400, str(error))
        except ClaimRefused as error:
            self._wrong_codes.failed(address, now)
            _log.warning("a code was refused for %r from %s: %s", given.login[:128], address, error)
            return _refusal(401, str(error), _CHALLENGE)
        return _certificates(leaf, content_type=_CERTS_ONLY)

    async def _operational_simpleenroll(self, request: web.Request) -> web.Response:
        return await self._operational(request, frozenset({Role.BIRTH}))

    async def _operational_simplereenroll(self, request: web.Request) -> web.Response:
        return await self._operational(request, frozenset({Role.DEVICE, Role.BIRTH}))

    async def _operational(self, request: web.Request, allowed: frozenset[Role]) -> web.Response:
        now, shown = self._clock(), client_certificate(request)
        if shown is None:
            return _refusal(403, "the device's certificate is wanted in TLS")
        try:
            key = policy.requested_key(await _body(request))
            device = policy.who_asks(shown, key, allowed=allowed)
            leaf = await asyncio.to_thread(self._issue, shown, key, now)
        except RequestRefused as error:
            return _refusal(400, str(error))
        except WrongRole as error:
            return _refusal(403, str(error))
        except (CertificateRefused, Unknown) as error:
            _log.warning("device %s asked for a certificate and was refused: %s", device, error)
            return _refusal(403, str(error))
        return _certificates(leaf, content_type=_CERTS_ONLY)

    def _issue(self, shown: x509.Certificate, key: ec.EllipticCurvePublicKey, now: datetime) -> x509.Certificate:
        self._registry.seen(shown.serial_number, now)
        return self._registry.operational(shown, key, now, self._signer(Role.DEVICE, key, now))

    def _signer(self, role: Role, key: ec.EllipticCurvePublicKey, now: datetime) -> Sign:
        issuer = self._fleet.authority_for(role)
        return lambda device: ca.sign(key, role=role, name=device, issuer=issuer, now=now)


async def _body(request: web.Request) -> bytes:
    body = bytearray()
    async for piece in request.content.iter_chunked(MAX_CSR):
        body += piece
        if len(body) > MAX_CSR:
            raise web.HTTPRequestEntityTooLarge(MAX_CSR, text=f"a certificate request has at most {MAX_CSR} bytes\n")
    return bytes(body)


def _certificates(*certificates: x509.Certificate, content_type: str) -> web.Response:
    der = pkcs7.serialize_certificates(list(certificates), Encoding.DER)
    headers = {"Content-Type": content_type, "Content-Transfer-Encoding": "base64"}
    return web.Response(body=base64.b64encode(der) + b"\n", headers=headers)


def _refusal(status: int, sentence: str, headers: dict[str, str] | None = None) -> web.Response:
    return web.Response(status=status, text=sentence + "\n", headers=headers)

"""TLS of the fleet's servers: who they are, and which certificates they take from a client."""

from __future__ import annotations

import ssl
from datetime import datetime

from aiohttp import web
from cryptography import x509

from protocol.names import Issuer
from provisioning.broker import CIPHERS
from provisioning.store import Fleet


def server_context(fleet: Fleet, now: datetime) -> ssl.SSLContext:
    """EST, API and page: a client certificate is welcome from devices, services and apps, and nobody must have one."""
    return _context(fleet, now, ssl.CERT_OPTIONAL, Issuer.BIRTH, Issuer.DEVICE, Issuer.CLIENT)


def broker_context(fleet: Fleet, now: datetime) -> ssl.SSLContext:
    """The broker: devices with their operational certificates, services and apps, and nobody else."""
    return _context(fleet, now, ssl.CERT_REQUIRED, Issuer.DEVICE, Issuer.CLIENT)


def refresh(context: ssl.SSLContext, fleet: Fleet, now: datetime) -> None:
    """Renew server.pem if need be, and use it for every handshake from now on; connections stay as they are."""
    context.load_cert_chain(fleet.ensure_server(now).path)


def client_certificate(request: web.Request) -> x509.Certificate | None:
    """Give the certificate that TLS verified for this request's connection, if the client had one."""
    tls = request.get_extra_info("ssl_object")
    der = tls.getpeercert(binary_form=True) if tls is not None else None
    return x509.load_der_x509_certificate(der) if der else None


def _context(fleet: Fleet, now: datetime, clients: ssl.VerifyMode, *trusted: Issuer) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(CIPHERS)
    # Without tickets every connection shows its certificate anew: nothing outlives a renewal or a revocation.
    context.options |= ssl.OP_NO_RENEGOTIATION | ssl.OP_NO_TICKET
    context.num_tickets = 0
    context.verify_mode = clients
    context.load_verify_locations(cadata=fleet.anchors_pem(*trusted))
    refresh(context, fleet, now)
    return context

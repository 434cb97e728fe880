from __future__ import annotations

import ssl
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography import x509

from protocol.names import Role
from provisioning import tls
from provisioning.files import Leaf
from provisioning.store import Fleet
from tests.kit.pki import DEVICE, issue_leaf, make_fleet, utc_now


@pytest.fixture
def fleet(tmp_path: Path) -> Fleet:
    return make_fleet(tmp_path / "fleet")


def _client(fleet: Fleet, shown: Leaf | None = None) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.verify_flags |= ssl.VERIFY_X509_STRICT
    context.load_verify_locations(fleet.directory / "root.pem")
    if shown:
        context.load_cert_chain(shown.path)
    return context


def _shake_hands(server: ssl.SSLContext, client: ssl.SSLContext, name: str = "localhost") -> tuple[bytes, bytes | None]:
    """Do a whole handshake in memory; give the server's certificate and the client's, as the other side sees them."""
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    ours = client.wrap_bio(to_client, to_server, server_hostname=name)
    theirs = server.wrap_bio(to_server, to_client, server_side=True)
    waiting = [ours, theirs]
    while waiting:
        for side in list(waiting):
            try:
                side.do_handshake()
                waiting.remove(side)
            except ssl.SSLWantReadError:
                continue
    server_leaf = ours.getpeercert(binary_form=True)
    assert server_leaf
    return server_leaf, theirs.getpeercert(binary_form=True)


@pytest.mark.parametrize("role", [Role.BIRTH, Role.DEVICE, Role.SERVICE, Role.APP])
def test_the_service_sees_who_its_client_is(fleet: Fleet, role: Role) -> None:
    shown = issue_leaf(fleet, role, DEVICE)
    _, seen = _shake_hands(tls.server_context(fleet, utc_now()), _client(fleet, shown))
    assert seen
    assert x509.load_der_x509_certificate(seen) == shown.chain[0]


def test_the_service_serves_clients_without_a_certificate_too(fleet: Fleet) -> None:
    assert _shake_hands(tls.server_context(fleet, utc_now()), _client(fleet))[1] is None


@pytest.mark.parametrize("name", ["localhost", "127.0.0.1"])
def test_the_server_is_known_under_each_of_its_names_and_no_other(fleet: Fleet, name: str) -> None:
    context = tls.server_context(fleet, utc_now())
    assert _shake_hands(context, _client(fleet), name)
    with pytest.raises(ssl.SSLCertVerificationError):
        _shake_hands(context, _client(fleet), "elsewhere.example")


@pytest.mark.parametrize("role", [Role.DEVICE, Role.SERVICE, Role.APP])
def test_the_broker_takes_devices_services_and_apps(fleet: Fleet, role: Role) -> None:
    assert _shake_hands(tls.broker_context(fleet, utc_now()), _client(fleet, issue_leaf(fleet, role, DEVICE)))[1]


@pytest.mark.parametrize("role", [None, Role.BIRTH, Role.AUTHORISER, Role.SERVER])
def test_the_broker_takes_nobody_else(fleet: Fleet, role: Role | None) -> None:
    shown = issue_leaf(fleet, role, DEVICE) if role else None
    with pytest.raises(ssl.SSLError):
        _shake_hands(tls.broker_context(fleet, utc_now()), _client(fleet, shown))


@pytest.mark.parametrize("context", [tls.server_context, tls.broker_context])
def test_a_client_of_another_fleet_is_refused(
    fleet: Fleet, tmp_path: Path, context: Callable[..., ssl.SSLContext]
) -> None:
    stray = issue_leaf(make_fleet(tmp_path / "other"), Role.DEVICE, DEVICE)
    with pytest.raises(ssl.SSLError):
        _shake_hands(context(fleet, utc_now()), _client(fleet, stray))


def test_a_client_certificate_that_has_ended_is_refused(fleet: Fleet) -> None:
    now = utc_now()
    ended = issue_leaf(fleet, Role.DEVICE, DEVICE, now=now - timedelta(days=2), life=timedelta(days=1))
    with pytest.raises(ssl.SSLError):
        _shake_hands(tls.server_context(fleet, now), _client(fleet, ended))


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion.TLSv1_1 is deprecated")
def test_tls_1_1_is_not_spoken(fleet: Fleet) -> None:
    client = _client(fleet)
    client.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED
    client.maximum_version = ssl.TLSVersion.TLSv1_1
    client.set_ciphers("ALL:@SECLEVEL=0")
    with pytest.raises(ssl.SSLError):
        _shake_hands(tls.server_context(fleet, utc_now()), client)


def test_a_running_server_shows_its_renewed_certificate_to_the_next_client(fleet: Fleet) -> None:
    now = utc_now()
    context = tls.server_context(fleet, now)
    first, _ = _shake_hands(context, _client(fleet))
    tls.refresh(context, fleet, now + timedelta(days=1))
    assert _shake_hands(context, _client(fleet))[0] == first
    (fleet.directory / "server.pem").unlink()
    tls.refresh(context, fleet, now)
    second, _ = _shake_hands(context, _client(fleet))
    assert second != first
    assert x509.load_der_x509_certificate(second) == fleet.ensure_server(now).chain[0]

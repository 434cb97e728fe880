"""Our EST client against services that answer wrongly, slowly or not at all, on real TLS."""

from __future__ import annotations

import base64
import http.server
import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, pkcs7

from agent.config import IdentityConfig
from agent.identity import est
from agent.identity.errors import Damaged, EnrollmentError, Rejected, Unreachable, WrongClaim, WrongRoot
from agent.identity.est import EstClient
from agent.identity.store import Kept
from protocol.names import Issuer, Role
from provisioning import ca, tls
from provisioning.store import Fleet
from tests.kit.pki import DEVICE, issue_leaf, make_fleet, new_key, utc_now


@dataclass(kw_only=True)
class Service:
    """Says to every operation what it was told to say; what it does not know is 404."""

    fleet: Fleet
    config: IdentityConfig
    answers: dict[str, tuple[int, bytes]] = field(default_factory=dict)

    def says(self, operation: str, *certificates: x509.Certificate) -> None:
        der = pkcs7.serialize_certificates(list(certificates), Encoding.DER)
        self.answers[operation] = (200, base64.b64encode(der) + b"\n")

    def client(self) -> EstClient:
        return EstClient(self.config)


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    fleet = make_fleet(tmp_path / "fleet")
    answers: dict[str, tuple[int, bytes]] = {}

    class Answering(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:  # http.server's name
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            status, body = answers.get(self.path.removeprefix("/.well-known/est"), (404, b"404: Not Found"))
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_POST = do_GET  # noqa: N815

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            """Say nothing."""

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answering)
    server.socket = tls.server_context(fleet, utc_now()).wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    config = IdentityConfig(
        root=fleet.directory / "root.pem",
        est=f"https://127.0.0.1:{server.server_address[1]}",
        directory=tmp_path / "identity",
    )
    service = Service(fleet=fleet, config=config, answers=answers)
    service.says("/cacerts", fleet.root, *(authority.certificate for authority in fleet.authorities.values()))
    yield service
    server.shutdown()
    server.server_close()
    thread.join()


def test_an_honest_answer_is_leaf_and_issuer(service: Service) -> None:
    leaf = issue_leaf(service.fleet, Role.BIRTH, DEVICE)
    service.says("/simpleenroll", leaf.chain[0])
    assert service.client().birth(leaf.key, "pi-1", "code", utc_now()) == list(leaf.chain)


def test_a_certificate_for_another_key_is_not_taken(service: Service) -> None:
    service.says("/simpleenroll", issue_leaf(service.fleet, Role.BIRTH, DEVICE).chain[0])
    with pytest.raises(Damaged, match="this device's key"):
        service.client().birth(new_key(), "pi-1", "code", utc_now())


@pytest.mark.parametrize("role", [Role.DEVICE, Role.APP, Role.AUTHORISER])
def test_a_certificate_of_another_role_is_not_taken(service: Service, role: Role) -> None:
    leaf = issue_leaf(service.fleet, role, DEVICE)
    service.says("/simpleenroll", leaf.chain[0])
    with pytest.raises(WrongRoot, match="does not verify"):
        service.client().birth(leaf.key, "pi-1", "code", utc_now())


def test_a_certificate_that_another_fleet_signed_is_not_taken(service: Service) -> None:
    now, key = utc_now(), new_key()
    stranger = ca.make_issuer(Issuer.BIRTH, ca.make_root(now), now)
    service.says("/cacerts", service.fleet.root, stranger.certificate)
    service.says("/simpleenroll", ca.sign(key.public_key(), role=Role.BIRTH, name=DEVICE, issuer=stranger, now=now))
    with pytest.raises(WrongRoot):
        service.client().birth(key, "pi-1", "code", now)


@pytest.mark.parametrize("body", [b"", b"<html>", b"%%%%", base64.b64encode(b"\x30\x03abc")])
@pytest.mark.parametrize("operation", ["/cacerts", "/simpleenroll"])
def test_an_answer_that_is_no_certificate_is_one_clear_line(service: Service, operation: str, body: bytes) -> None:
    service.answers[operation] = (200, body)
    with pytest.raises(Damaged) as caught:
        service.client().birth(new_key(), "pi-1", "code", utc_now())
    assert "\n" not in str(caught.value)


def test_an_endless_answer_is_not_read_to_its_end(service: Service) -> None:
    service.answers["/cacerts"] = (200, b"A" * (est.MAX_BODY + 1))
    with pytest.raises(Damaged, match=str(est.MAX_BODY)):
        service.client().authorities()


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (301, Damaged),
        (400, Damaged),
        (401, WrongClaim),
        (403, Rejected),
        (404, Damaged),
        (429, Unreachable),
        (500, Unreachable),
        (503, Unreachable),
    ],
)
def test_a_refusal_is_of_its_kind_and_quotes_one_printable_line(
    service: Service, status: int, error: type[EnrollmentError]
) -> None:
    service.answers["/simpleenroll"] = (status, b"because\x1b[31m of\nthat" + b"x" * 5000)
    with pytest.raises(error) as caught:
        service.client().birth(new_key(), "pi-1", "secret", utc_now())
    text = str(caught.value)
    assert "because" in text
    assert text.isprintable()
    assert len(text) < 400
    assert "secret" not in text
    assert caught.value.temporary == (error is Unreachable)


def test_a_certificate_that_tls_does_not_take_is_no_last_word_for_the_fault_may_be_the_services_clock(
    service: Service, tmp_path: Path
) -> None:
    stranger = issue_leaf(make_fleet(tmp_path / "stranger"), Role.BIRTH, DEVICE)
    shown = Kept(path=stranger.path, key=stranger.key, chain=stranger.chain)
    with pytest.raises(Unreachable):
        service.client().operational(new_key(), shown, utc_now(), again=False)


def test_a_service_that_takes_the_connection_and_says_nothing_is_given_up(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(est, "TIMEOUT_S", 0.1)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"https://127.0.0.1:{silent.getsockname()[1]}"
        config = IdentityConfig(root=service.config.root, est=address, directory=service.config.directory)
        with pytest.raises(Unreachable, match="does not answer") as caught:
            EstClient(config).authorities()
    assert caught.value.temporary

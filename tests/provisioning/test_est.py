"""The EST service, asked by curl: every operation, every refusal, on real TLS."""

from __future__ import annotations

import base64
import subprocess
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, pkcs7

from protocol.certificates import role_of, verify_chain
from protocol.names import Issuer, Role
from provisioning.files import Leaf
from provisioning.policy import MAX_CSR
from provisioning.registry import Registry
from provisioning.store import Fleet
from tests.kit.pki import enrol, issue_leaf, make_fleet, new_key, serving_est, utc_now


@dataclass(kw_only=True)
class Est:
    """A running service, and curl to ask it."""

    fleet: Fleet
    registry: Registry
    url: str = ""
    late: timedelta = field(default_factory=timedelta)

    def now(self) -> datetime:
        return utc_now() + self.late

    def ask(
        self, operation: str, *, body: bytes | None = None, user: str = "", shown: Leaf | None = None
    ) -> tuple[int, dict[str, str], bytes]:
        """Give status, headers and body of the answer."""
        command = ["curl", "-sS", "-i", "--http1.1", "--cacert", str(self.fleet.directory / "root.pem")]
        command += ["--user", user] if user else []
        command += ["--cert", str(shown.path)] if shown else []
        if body is not None:
            command += ["-H", "Content-Type: application/pkcs10", "-H", "Expect:", "--data-binary", "@-"]
        run = subprocess.run(
            [*command, f"{self.url}/.well-known/est{operation}"], input=body, capture_output=True, check=True
        )
        head, _, answer = run.stdout.partition(b"\r\n\r\n")
        status, *lines = head.decode().split("\r\n")
        headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
        return int(status.split()[1]), headers, answer


@pytest.fixture
def est(tmp_path: Path) -> Iterator[Est]:
    fleet = make_fleet(tmp_path / "fleet")
    running = Est(fleet=fleet, registry=Registry(fleet.registry_url))
    with serving_est(fleet, running.registry, running.now) as running.url:
        yield running
    running.registry.close()


def _csr(key: ec.EllipticCurvePrivateKey) -> bytes:
    request = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([])).sign(key, hashes.SHA256())
    return base64.b64encode(request.public_bytes(Encoding.DER))


def _certificates(body: bytes) -> list[x509.Certificate]:
    return pkcs7.load_der_pkcs7_certificates(base64.b64decode(body))


def test_cacerts_gives_the_root_and_the_issuers_of_devices_as_one_line_of_base64(est: Est) -> None:
    status, headers, body = est.ask("/cacerts")
    assert status == 200
    assert headers["content-type"] == "application/pkcs7-mime"
    assert headers["content-transfer-encoding"] == "base64"
    assert body.count(b"\n") == 1
    assert body.endswith(b"\n")
    wanted = [est.fleet.root, *(est.fleet.authorities[issuer].certificate for issuer in (Issuer.BIRTH, Issuer.DEVICE))]
    assert set(_certificates(body)) == set(wanted)


@pytest.mark.parametrize("wrapped", [False, True])
def test_a_code_is_exchanged_for_the_birth_certificate(est: Est, wrapped: bool) -> None:
    claim, key = est.registry.claim("pi-1", "Porch", utc_now()), new_key()
    body = "\n".join(textwrap.wrap(_csr(key).decode(), 64)).encode() if wrapped else _csr(key)
    status, headers, answer = est.ask("/simpleenroll", body=body, user=f"pi-1:{claim.code}")
    assert status == 200
    assert headers["content-type"] == "application/pkcs7-mime; smime-type=certs-only"
    assert answer.count(b"\n") == 1
    (leaf,) = _certificates(answer)
    assert leaf.public_key() == key.public_key()
    chain = [leaf, est.fleet.authority_for(Role.BIRTH).certificate]
    der = [certificate.public_bytes(Encoding.DER) for certificate in chain]
    assert verify_chain(der, root=est.fleet.root, role=Role.BIRTH, now=utc_now()).name == claim.device


def test_a_lost_answer_is_given_again_and_a_second_key_is_an_alarm(est: Est) -> None:
    claim, body = est.registry.claim("pi-1", "Porch", utc_now()), _csr(new_key())
    answers = [est.ask("/simpleenroll", body=body, user=f"pi-1:{claim.code}") for _ in range(2)]
    assert [status for status, _, _ in answers] == [200, 200]
    assert answers[0][2] == answers[1][2]
    status, headers, _ = est.ask("/simpleenroll", body=_csr(new_key()), user=f"pi-1:{claim.code}")
    assert status == 401
    assert headers["www-authenticate"].startswith("Basic")
    assert est.registry.events_after(0)[-1].kind == "alarm"


def test_an_expired_code_is_refused_and_says_so(est: Est) -> None:
    claim = est.registry.claim("pi-1", "Porch", utc_now())
    est.late = timedelta(hours=25)
    status, _, body = est.ask("/simpleenroll", body=_csr(new_key()), user=f"pi-1:{claim.code}")
    assert (status, body) == (401, b"the code has expired: make a new one\n")


def test_who_names_no_code_is_asked_for_one(est: Est) -> None:
    status, headers, _ = est.ask("/simpleenroll", body=_csr(new_key()))
    assert status == 401
    assert headers["www-authenticate"].startswith("Basic")


@pytest.mark.parametrize("body", [b"", b"hello", b"\x30\x82", base64.b64encode(b"\x30\x00")])
def test_what_is_no_request_is_answered_with_one_plain_sentence(est: Est, body: bytes) -> None:
    claim = est.registry.claim("pi-1", "Porch", utc_now())
    status, headers, answer = est.ask("/simpleenroll", body=body, user=f"pi-1:{claim.code}")
    assert status == 400
    assert headers["content-type"].startswith("text/plain")
    assert answer.count(b"\n") == 1
    assert est.ask("/simpleenroll", body=_csr(new_key()), user=f"pi-1:{claim.code}")[0] == 200


def test_a_body_that_is_too_large_is_cut_off(est: Est) -> None:
    claim = est.registry.claim("pi-1", "Porch", utc_now())
    assert est.ask("/simpleenroll", body=b"A" * (MAX_CSR + 1), user=f"pi-1:{claim.code}")[0] == 413


def test_guessing_codes_is_slowed_down_and_good_codes_work_again_later(est: Est) -> None:
    body = _csr(new_key())
    statuses = [est.ask("/simpleenroll", body=body, user=f"pi-1:wrong-{number}")[0] for number in range(11)]
    assert statuses == [401] * 10 + [429]
    claim = est.registry.claim("pi-1", "Porch", utc_now())
    status, headers, _ = est.ask("/simpleenroll", body=body, user=f"pi-1:{claim.code}")
    assert status == 429
    assert 0 < int(headers["retry-after"]) <= 61
    est.late = timedelta(minutes=1)
    assert est.ask("/simpleenroll", body=body, user=f"pi-1:{claim.code}")[0] == 200


def test_no_code_ever_stands_in_the_log(est: Est, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG")
    claim = est.registry.claim("pi-1", "Porch", utc_now())
    for serial in ("pi-2", "pi-1", "pi-1"):
        est.ask("/simpleenroll", body=_csr(new_key()), user=f"{serial}:{claim.code}")
    assert "refused for 'pi-2'" in caplog.text
    assert claim.code not in caplog.text


def test_a_birth_certificate_gets_the_operational_one(est: Est) -> None:
    device, key = enrol(est.fleet, est.registry, "pi-1"), new_key()
    status, _, body = est.ask("/operational/simpleenroll", body=_csr(key), shown=device.birth)
    assert status == 200
    (leaf,) = _certificates(body)
    assert role_of(leaf) == (Role.DEVICE, device.id)
    assert leaf.public_key() == key.public_key()
    assert est.ask("/operational/simpleenroll", body=_csr(key), shown=device.birth)[2] == body


@pytest.mark.parametrize("shown", ["operational", "birth"])
def test_a_renewal_shows_the_operational_certificate_or_the_birth_certificate(est: Est, shown: str) -> None:
    device = enrol(est.fleet, est.registry, "pi-1")
    status, _, body = est.ask("/operational/simplereenroll", body=_csr(new_key()), shown=getattr(device, shown))
    assert status == 200
    (leaf,) = _certificates(body)
    assert est.registry.valid_certificates(device.id, utc_now()) == [device.operational.chain[0], leaf]


def test_a_new_certificate_in_use_makes_the_old_one_worthless(est: Est, tmp_path: Path) -> None:
    device = enrol(est.fleet, est.registry, "pi-1")
    key = new_key()
    (leaf,) = _certificates(est.ask("/operational/simplereenroll", body=_csr(key), shown=device.operational)[2])
    est.registry.seen(leaf.serial_number, utc_now())
    status, _, body = est.ask("/operational/simplereenroll", body=_csr(new_key()), shown=device.operational)
    assert status == 403
    assert b"superseded" in body


def test_an_operational_certificate_does_not_enrol(est: Est) -> None:
    device = enrol(est.fleet, est.registry, "pi-1")
    assert est.ask("/operational/simpleenroll", body=_csr(new_key()), shown=device.operational)[0] == 403


def test_a_renewal_with_the_old_key_is_refused(est: Est) -> None:
    device = enrol(est.fleet, est.registry, "pi-1")
    own_key = _csr(device.operational.key)
    assert est.ask("/operational/simplereenroll", body=own_key, shown=device.operational)[0] == 400


@pytest.mark.parametrize("operation", ["/operational/simpleenroll", "/operational/simplereenroll"])
def test_nobody_gets_an_operational_certificate_without_a_certificate_or_as_an_app(est: Est, operation: str) -> None:
    app = issue_leaf(est.fleet, Role.APP, "panel")
    assert est.ask(operation, body=_csr(new_key()))[0] == 403
    assert est.ask(operation, body=_csr(new_key()), shown=app)[0] == 403


@pytest.mark.parametrize("shown", ["operational", "birth"])
def test_a_revoked_device_gets_nothing(est: Est, shown: str) -> None:
    device = enrol(est.fleet, est.registry, "pi-1")
    est.registry.revoke(device.id, utc_now())
    status, _, body = est.ask("/operational/simplereenroll", body=_csr(new_key()), shown=getattr(device, shown))
    assert status == 403
    assert b"revoked" in body


def test_a_certificate_that_the_registry_never_saw_gets_nothing(est: Est) -> None:
    stray = issue_leaf(est.fleet, Role.BIRTH, "a" * 26)
    assert est.ask("/operational/simpleenroll", body=_csr(new_key()), shown=stray)[0] == 403


def test_a_client_certificate_of_another_fleet_does_not_pass_tls(est: Est, tmp_path: Path) -> None:
    stray = issue_leaf(make_fleet(tmp_path / "other"), Role.BIRTH, "a" * 26)
    with pytest.raises(subprocess.CalledProcessError):
        est.ask("/operational/simpleenroll", body=_csr(new_key()), shown=stray)

"""strongSwan's `pki`, an EST client by others, enrols and renews at our service."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from protocol.certificates import role_of
from protocol.names import Role
from provisioning.files import Leaf
from provisioning.registry import Registry
from provisioning.store import Fleet
from tests.kit.pki import enrol, make_fleet, serving_est, utc_now


def _pki(*arguments: str | Path) -> bytes:
    run = subprocess.run(["pki", *map(str, arguments)], capture_output=True, check=False)
    assert run.returncode == 0, run.stderr.decode()
    return run.stdout


@pytest.fixture
def fleet(tmp_path: Path) -> Fleet:
    return make_fleet(tmp_path / "fleet")


@pytest.fixture
def registry(fleet: Fleet) -> Iterator[Registry]:
    registry = Registry(fleet.registry_url)
    yield registry
    registry.close()


@pytest.fixture
def url(fleet: Fleet, registry: Registry) -> Iterator[str]:
    with serving_est(fleet, registry) as address:
        yield address


@pytest.fixture
def request_file(tmp_path: Path) -> Path:
    """A CSR for a new key, both made by strongSwan."""
    key, request = tmp_path / "new.pem", tmp_path / "new.csr"
    key.write_bytes(_pki("--gen", "--type", "ecdsa", "--size", "256", "--outform", "pem"))
    request.write_bytes(_pki("--req", "--in", key, "--type", "ecdsa", "--dn", "CN=whoever"))
    return request


def _trust(fleet: Fleet) -> list[str]:
    files = ["root.pem", "issuing/server.pem", "issuing/birth.pem", "issuing/device.pem"]
    return [word for name in files for word in ("--cacert", str(fleet.directory / name))]


def _split(leaf: Leaf, directory: Path) -> tuple[Path, Path]:
    """Write the certificate, and the key in the form that strongSwan 5.9 reads."""
    certificate, key = directory / "shown.pem", directory / "shown.key"
    certificate.write_bytes(leaf.chain[0].public_bytes(Encoding.PEM))
    key.write_bytes(leaf.key.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption()))
    return certificate, key


def test_strongswan_fetches_the_fleets_certificates(fleet: Fleet, url: str, tmp_path: Path) -> None:
    root = fleet.directory / "root.pem"
    _pki("--estca", "--url", url, "--cacert", root, "--caout", tmp_path / "ca.pem", "--outform", "pem")
    fetched = [x509.load_pem_x509_certificate(path.read_bytes()) for path in tmp_path.glob("ca*.pem")]
    issuers = {fleet.authority_for(role).certificate for role in (Role.BIRTH, Role.DEVICE)}
    assert set(fetched) == {fleet.root} | issuers


def test_strongswan_enrols_with_a_code(fleet: Fleet, registry: Registry, url: str, request_file: Path) -> None:
    claim = registry.claim("pi-1", "Porch", utc_now())
    user = f"pi-1:{claim.code}"
    pem = _pki("--est", "--url", url, "--in", request_file, *_trust(fleet), "--userpass", user, "--outform", "pem")
    assert role_of(x509.load_pem_x509_certificate(pem)) == (Role.BIRTH, claim.device)


@pytest.mark.parametrize("shown", ["operational", "birth"])
def test_strongswan_renews_with_the_certificate_it_has(
    fleet: Fleet, registry: Registry, url: str, request_file: Path, tmp_path: Path, shown: str
) -> None:
    device = enrol(fleet, registry, "pi-1")
    certificate, key = _split(getattr(device, shown), tmp_path)
    old = ["--cert", certificate, "--key", key]
    pem = _pki("--est", "--url", url, "--in", request_file, *_trust(fleet), *old, "--outform", "pem")
    leaf = x509.load_pem_x509_certificate(pem)
    assert role_of(leaf) == (Role.DEVICE, device.id)
    assert registry.valid_certificates(device.id, utc_now())[-1] == leaf

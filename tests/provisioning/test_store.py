from __future__ import annotations

import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509

from protocol.names import Issuer, Role
from provisioning import files, store
from provisioning.files import FleetError
from provisioning.store import Ports

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)


def _create(directory: Path) -> store.Fleet:
    return store.create(directory, names=["Fleet.example", "192.0.2.7", "2001:db8::7"], now=NOW)


def test_a_fleet_that_is_made_can_be_read_again(tmp_path: Path) -> None:
    made = store.create(tmp_path / "fleet", names=["fleet.example"], now=NOW, ports=Ports(https=9443))
    read = store.load(tmp_path / "fleet")
    assert read.names == ("fleet.example",)
    assert read.ports == Ports(https=9443, page=8080, broker=8883)
    assert read.root == made.root
    assert {issuer: authority.certificate for issuer, authority in read.authorities.items()} == {
        issuer: authority.certificate for issuer, authority in made.authorities.items()
    }


def test_nobody_but_the_owner_reads_a_key(tmp_path: Path) -> None:
    fleet = _create(tmp_path / "fleet")
    fleet.ensure_server(NOW)
    assert stat.S_IMODE(fleet.directory.stat().st_mode) == 0o700
    secret = [path for path in fleet.directory.rglob("*") if path.is_file() and b"PRIVATE KEY" in path.read_bytes()]
    assert {path.name for path in secret} == {"root.key", "server.pem"} | {f"{issuer}.key" for issuer in Issuer}
    assert {stat.S_IMODE(path.stat().st_mode) for path in secret} == {0o600}


def test_a_fleet_is_never_overwritten(tmp_path: Path) -> None:
    fleet = _create(tmp_path / "fleet")
    with pytest.raises(FleetError, match="never overwritten"):
        _create(tmp_path / "fleet")
    assert store.load(tmp_path / "fleet").root == fleet.root
    assert [path.name for path in tmp_path.iterdir()] == ["fleet"]


def test_an_empty_directory_may_become_a_fleet(tmp_path: Path) -> None:
    (tmp_path / "fleet").mkdir()
    assert _create(tmp_path / "fleet").names == ("fleet.example", "192.0.2.7", "2001:db8::7")


def test_a_fleet_works_after_its_root_key_was_taken_offline(tmp_path: Path) -> None:
    fleet = _create(tmp_path / "fleet")
    (fleet.directory / "root.key").unlink()
    assert store.load(fleet.directory).ensure_server(NOW).chain


@pytest.mark.parametrize("names", [[], ["not a name"], ["*.example"], [""], ["a" * 64 + ".example"]])
def test_names_that_no_certificate_can_have_are_refused(tmp_path: Path, names: list[str]) -> None:
    with pytest.raises(FleetError):
        store.create(tmp_path / "fleet", names=names, now=NOW)
    assert list(tmp_path.iterdir()) == []


def test_a_missing_fleet_says_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(FleetError, match="camward fleet init"):
        store.load(tmp_path / "fleet")


def test_a_fleet_that_lost_a_file_is_restored_and_not_made_anew(tmp_path: Path) -> None:
    fleet = _create(tmp_path / "fleet")
    (fleet.directory / "root.pem").unlink()
    with pytest.raises(FleetError, match=r"root\.pem is missing: restore it"):
        store.load(fleet.directory)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("fleet.toml", "names = 7"),
        ("fleet.toml", "names = ["),
        ("fleet.toml", 'names = ["a"]\n[ports]\nftp = 21'),
        ("fleet.toml", 'names = ["a"]\n[ports]\nhttps = "8443"'),
        ("fleet.toml", 'names = ["a"]\n[ports]\nhttps = 65536'),
        ("fleet.toml", "names = []\n[ports]"),
        ("root.pem", "no certificate"),
        ("issuing/device.key", "no key"),
    ],
)
def test_a_damaged_fleet_is_one_clear_line(tmp_path: Path, name: str, content: str) -> None:
    fleet = _create(tmp_path / "fleet")
    (fleet.directory / name).write_text(content)
    with pytest.raises(FleetError, match="damaged") as caught:
        store.load(fleet.directory)
    assert "\n" not in str(caught.value)


def test_the_key_of_another_issuing_ca_is_found_out(tmp_path: Path) -> None:
    fleet = _create(tmp_path / "fleet")
    (fleet.directory / "issuing" / "device.key").write_bytes((fleet.directory / "issuing" / "birth.key").read_bytes())
    with pytest.raises(FleetError, match="damaged"):
        store.load(fleet.directory)


def test_the_server_certificate_names_every_name_and_address(tmp_path: Path) -> None:
    leaf = _create(tmp_path / "fleet").ensure_server(NOW)
    names = leaf.chain[0].extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["fleet.example"]
    assert [str(address) for address in names.get_values_for_type(x509.IPAddress)] == ["192.0.2.7", "2001:db8::7"]


def test_a_leaf_of_the_fleet_is_kept_until_a_third_of_its_life_is_left(tmp_path: Path) -> None:
    fleet = _create(tmp_path / "fleet")
    first = fleet.ensure_authoriser(NOW)
    assert fleet.ensure_authoriser(NOW + timedelta(days=4, hours=12)).chain == first.chain
    second = fleet.ensure_authoriser(NOW + timedelta(days=4, hours=18))
    assert second.chain[0] != first.chain[0]
    assert second.key.public_key() != first.key.public_key()
    assert files.read_leaf(second.path).chain == second.chain


def test_a_server_that_has_another_name_now_gets_another_certificate(tmp_path: Path) -> None:
    fleet = _create(tmp_path / "fleet")
    first = fleet.ensure_server(NOW)
    settings = fleet.directory / "fleet.toml"
    settings.write_text(settings.read_text().replace("fleet.example", "other.example"))
    second = store.load(fleet.directory).ensure_server(NOW)
    assert second.chain[0] != first.chain[0]


def test_a_leaf_that_cannot_be_read_says_what_to_do(tmp_path: Path) -> None:
    fleet = _create(tmp_path / "fleet")
    (fleet.directory / "gateway.pem").write_text("nothing")
    with pytest.raises(FleetError, match="remove it"):
        fleet.ensure_gateway(NOW)


def test_the_gateway_is_a_service_under_the_client_ca(tmp_path: Path) -> None:
    fleet = _create(tmp_path / "fleet")
    leaf = fleet.ensure_gateway(NOW)
    assert (
        leaf.chain[1] == fleet.authorities[Issuer.CLIENT].certificate == fleet.authority_for(Role.SERVICE).certificate
    )

"""Enrolment with our client at our EST service, on real TLS."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from agent.config import IdentityConfig
from agent.identity.enroll import Identity, enroll
from agent.identity.errors import Damaged, EnrollmentError, Unreachable, WrongClaim, WrongClock, WrongRoot
from protocol.names import Role
from provisioning.registry import Registry
from tests.kit.pki import make_fleet, serving_est, utc_now


@dataclass(kw_only=True)
class Site:
    """A fleet that is reached, and a device of it."""

    config: IdentityConfig
    registry: Registry
    late: timedelta = field(default_factory=timedelta)

    def claim(self) -> str:
        return self.registry.claim("pi-1", "Porch", self.fleet_time()).code

    def enroll(self, code: str, now: datetime | None = None) -> Identity:
        return enroll(self.config, "pi-1", code, now or utc_now())

    def fleet_time(self) -> datetime:
        return utc_now() + self.late

    def files(self) -> dict[str, bytes]:
        return {path.name: path.read_bytes() for path in self.config.directory.iterdir()}


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    fleet = make_fleet(tmp_path / "fleet")
    site = Site(
        config=IdentityConfig(root=fleet.directory / "root.pem", est="https://none", directory=tmp_path / "identity"),
        registry=Registry(fleet.registry_url),
    )
    with serving_est(fleet, site.registry, site.fleet_time) as url:
        site.config = IdentityConfig(root=site.config.root, est=url, directory=site.config.directory)
        yield site
    site.registry.close()


def test_a_code_makes_a_device_of_the_fleet(site: Site) -> None:
    code = site.claim()
    identity = site.enroll(code)
    (device,) = site.registry.devices()
    assert (identity.device_id, device.state) == (device.id, "enrolled")
    assert site.registry.valid_certificates(device.id, utc_now(), Role.BIRTH) == [identity.birth]
    assert site.registry.valid_certificates(device.id, utc_now()) == [identity.operational]
    assert set(site.files()) == {"birth.pem", "operational.pem"}
    assert code.encode() not in b"".join(site.files().values())


def test_the_two_certificates_have_keys_of_their_own(site: Site) -> None:
    identity = site.enroll(site.claim())
    assert identity.birth.public_key() != identity.operational.public_key()


def test_enrolling_again_changes_nothing_and_wants_no_code(site: Site) -> None:
    first = site.enroll(site.claim())
    files = site.files()
    assert site.enroll("no code") == first
    assert site.files() == files


def test_a_revoked_device_enrols_anew_with_new_keys_and_a_new_code(site: Site) -> None:
    first = site.enroll(site.claim())
    site.registry.revoke(first.device_id, utc_now())
    with pytest.raises(WrongClaim):
        site.enroll("old code")
    second = site.enroll(site.claim())
    assert second.device_id == first.device_id
    old = [certificate.public_key() for certificate in (first.birth, first.operational)]
    assert second.birth.public_key() not in old
    assert second.operational.public_key() not in old


def test_a_lost_operational_certificate_is_asked_for_again_without_a_code(site: Site) -> None:
    first = site.enroll(site.claim())
    (site.config.directory / "operational.pem").unlink()
    second = site.enroll("no code")
    assert second.birth == first.birth
    assert second.operational != first.operational


def test_a_fleet_that_was_made_anew_gets_new_keys(site: Site, tmp_path: Path) -> None:
    first = site.enroll(site.claim())
    fleet = make_fleet(tmp_path / "second")
    registry = Registry(fleet.registry_url)
    with serving_est(fleet, registry) as url:
        config = IdentityConfig(root=fleet.directory / "root.pem", est=url, directory=site.config.directory)
        second = enroll(config, "pi-1", registry.claim("pi-1", "Porch", utc_now()).code, utc_now())
    registry.close()
    assert second.device_id != first.device_id
    assert second.birth.public_key() != first.birth.public_key()


def test_an_expired_code_is_one_line_and_the_next_code_works(site: Site) -> None:
    code = site.claim()
    site.late = timedelta(hours=25)
    with pytest.raises(WrongClaim, match="expired") as caught:
        site.enroll(code)
    assert not caught.value.temporary
    assert "\n" not in str(caught.value)
    site.late = timedelta()
    assert site.enroll(site.claim())


def test_a_code_that_another_key_used_is_refused_and_raises_an_alarm(site: Site, tmp_path: Path) -> None:
    code = site.claim()
    first = site.enroll(code)
    thief = IdentityConfig(root=site.config.root, est=site.config.est, directory=tmp_path / "thief")
    with pytest.raises(WrongClaim, match="another key"):
        enroll(thief, "pi-1", code, utc_now())
    assert site.registry.events_after(0)[-1].kind == "alarm"
    assert site.registry.valid_certificates(first.device_id, utc_now()) == [first.operational]


def test_a_service_of_another_fleet_is_not_spoken_to(site: Site, tmp_path: Path) -> None:
    code = site.claim()
    stranger = make_fleet(tmp_path / "stranger").directory / "root.pem"
    config = IdentityConfig(root=stranger, est=site.config.est, directory=site.config.directory)
    with pytest.raises(WrongRoot, match=r"not vouched for by .*root\.pem") as caught:
        enroll(config, "pi-1", code, utc_now())
    assert "\n" not in str(caught.value)
    assert site.enroll(code)


def test_a_service_under_a_name_that_is_not_its_own_is_not_spoken_to(site: Site) -> None:
    config = IdentityConfig(
        root=site.config.root,
        est=site.config.est.replace("127.0.0.1", "127.0.0.2"),
        directory=site.config.directory,
    )
    with pytest.raises((WrongRoot, Unreachable)):
        enroll(config, "pi-1", "code", utc_now())


def test_a_fleet_that_does_not_answer_is_a_temporary_error(site: Site) -> None:
    config = IdentityConfig(root=site.config.root, est="https://127.0.0.1:1", directory=site.config.directory)
    with pytest.raises(Unreachable, match="is the fleet service up") as caught:
        enroll(config, "pi-1", "code", utc_now())
    assert caught.value.temporary


@pytest.mark.parametrize("address", ["https://", "https://host:port", "https://[::1", "https://camera..example"])
def test_an_address_that_is_none_is_one_clear_line(site: Site, address: str) -> None:
    config = IdentityConfig(root=site.config.root, est=address, directory=site.config.directory)
    with pytest.raises(EnrollmentError, match=r"identity\.est"):
        enroll(config, "pi-1", "code", utc_now())


@pytest.mark.parametrize("content", [None, b"no certificate"])
def test_a_root_that_cannot_be_read_is_one_clear_line(site: Site, tmp_path: Path, content: bytes | None) -> None:
    root = tmp_path / "pinned.pem"
    if content is not None:
        root.write_bytes(content)
    config = IdentityConfig(root=root, est=site.config.est, directory=site.config.directory)
    with pytest.raises(WrongRoot, match=r"pinned\.pem"):
        enroll(config, "pi-1", "code", utc_now())


def test_a_damaged_key_is_not_thrown_away_silently(site: Site) -> None:
    site.enroll(site.claim())
    (site.config.directory / "birth.pem").write_bytes(b"")
    with pytest.raises(Damaged, match="remove it"):
        site.enroll(site.claim())


@pytest.mark.parametrize("days", [1, 400])
def test_a_clock_that_is_late_costs_no_identity(site: Site, days: int) -> None:
    site.enroll(site.claim())
    files = site.files()
    with pytest.raises(WrongClock, match="timedatectl"):
        site.enroll("no code", now=utc_now() - timedelta(days=days))
    assert site.files() == files


def test_in_1970_enrolment_says_to_look_at_the_clock_and_burns_no_code(site: Site) -> None:
    code = site.claim()
    script = (
        "import sys, datetime, pathlib\n"
        "from agent.config import IdentityConfig\n"
        "from agent.identity.enroll import enroll\n"
        "from agent.identity.errors import EnrollmentError\n"
        "root, est, directory, code = sys.argv[1:]\n"
        "config = IdentityConfig(root=pathlib.Path(root), est=est, directory=pathlib.Path(directory))\n"
        "try:\n"
        "    enroll(config, 'pi-1', code, datetime.datetime.now(datetime.UTC))\n"
        "except EnrollmentError as error:\n"
        "    print(type(error).__name__, error)\n"
    )
    device = [str(site.config.root), site.config.est, str(site.config.directory), code]
    in_1970 = ["faketime", "1970-01-02 00:00:00", sys.executable, "-c", script, *device]
    run = subprocess.run(in_1970, capture_output=True, text=True, check=True)
    assert run.stdout.startswith("WrongClock ")
    assert "1970-01-02" in run.stdout
    assert "timedatectl" in run.stdout
    assert run.stdout.count("\n") == 1
    assert site.enroll(code)

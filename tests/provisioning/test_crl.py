from __future__ import annotations

from datetime import UTC, datetime, timedelta

from protocol.names import Issuer
from provisioning import ca
from provisioning.crl import CRL_LIFE, make_crl

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
DEVICES = ca.make_issuer(Issuer.DEVICE, ca.make_root(NOW), NOW)


def test_a_crl_lists_what_was_withdrawn_and_is_signed_by_the_issuer_of_devices() -> None:
    crl = make_crl(DEVICES, [7, 2**127 + 1], NOW)
    assert crl.is_signature_valid(DEVICES.key.public_key())
    assert crl.issuer == DEVICES.certificate.subject
    assert {entry.serial_number for entry in crl} == {7, 2**127 + 1}
    assert crl.get_revoked_certificate_by_serial_number(8) is None


def test_an_empty_crl_holds_from_now_on_for_a_month() -> None:
    crl = make_crl(DEVICES, [], NOW)
    assert list(crl) == []
    assert crl.last_update_utc < NOW
    assert crl.next_update_utc == NOW + CRL_LIFE


def test_the_numbers_of_crls_rise() -> None:
    numbers = [make_crl(DEVICES, [], NOW + timedelta(seconds=late)).extensions[0].value for late in (0, 1)]
    assert numbers[0].crl_number < numbers[1].crl_number

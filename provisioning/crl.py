"""Pure: the CRL of operational certificates, for brokers that read one (RFC 5280, section 5)."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes

from protocol.certificates import CLOCK_SKEW
from provisioning.ca import Authority

CRL_LIFE: Final = timedelta(days=30)  # mosquitto refuses every device once its CRL has ended


def make_crl(issuer: Authority, serials: Iterable[int], now: datetime) -> x509.CertificateRevocationList:
    """Sign the list of withdrawn `serials` as the issuing CA of devices; its number is `now` in milliseconds."""
    key_id = issuer.certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    builder = (
        x509.CertificateRevocationListBuilder()
        .issuer_name(issuer.certificate.subject)
        .last_update(now - CLOCK_SKEW)
        .next_update(now + CRL_LIFE)
        .add_extension(x509.CRLNumber(int(now.timestamp() * 1000)), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(key_id), critical=False)
    )
    for serial in serials:
        entry = x509.RevokedCertificateBuilder().serial_number(serial).revocation_date(now - CLOCK_SKEW).build()
        builder = builder.add_revoked_certificate(entry)
    return builder.sign(issuer.key, hashes.SHA256())

"""EST on the device (RFC 7030, RFC 8951): TLS to the pinned root and to nobody else. Blocking; run it in a thread."""

from __future__ import annotations

import base64
import binascii
import http.client
import ssl
from datetime import UTC, datetime
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, pkcs7

from agent.config import IdentityConfig
from agent.identity.errors import Damaged, EnrollmentError, Rejected, Unreachable, WrongClaim, WrongClock, WrongRoot
from agent.identity.store import Kept
from protocol import certificates
from protocol.errors import Untrusted
from protocol.names import Role

TIMEOUT_S: Final = 15.0
MAX_BODY: Final = 64 * 1024
_MAX_SENTENCE: Final = 200
_BASE: Final = "/.well-known/est"
_NOT_YET_VALID, _EXPIRED = 9, 10  # X509_V_ERR_CERT_NOT_YET_VALID, X509_V_ERR_CERT_HAS_EXPIRED


class EstClient:
    """One fleet's EST service. Errors of every call: EnrollmentError."""

    def __init__(self, config: IdentityConfig) -> None:
        self._address = config.est
        self._host, self._port = _split(config.est)
        self._root_path = config.root
        try:
            self.root = x509.load_pem_x509_certificate(config.root.read_bytes())
        except OSError as error:
            raise WrongRoot(f"{config.root}: {error.strerror}; copy the fleet's root.pem there") from error
        except ValueError as error:
            raise WrongRoot(f"{config.root} is not a certificate in PEM: copy the fleet's root.pem there") from error

    def birth(self, key: ec.EllipticCurvePrivateKey, serial: str, code: str, now: datetime) -> list[x509.Certificate]:
        """Ask for the birth certificate of `key` with a one-time code; give leaf and issuing CA, verified."""
        basic = base64.b64encode(f"{serial}:{code}".encode(errors="surrogateescape")).decode()
        authorities = self.authorities()
        leaf = self._enroll("/simpleenroll", key, headers={"Authorization": f"Basic {basic}"})
        return self._chain(leaf, authorities, Role.BIRTH, now)

    def operational(
        self, key: ec.EllipticCurvePrivateKey, shown: Kept, now: datetime, *, again: bool
    ) -> list[x509.Certificate]:
        """Ask for the operational certificate of `key`, showing the certificate in `shown`; `again` for a renewal."""
        authorities = self.authorities()
        leaf = self._enroll(f"/operational/{'simplereenroll' if again else 'simpleenroll'}", key, shown=shown.path)
        return self._chain(leaf, authorities, Role.DEVICE, now)

    def authorities(self) -> list[x509.Certificate]:
        """Fetch the fleet's root and issuing CAs; they are believed only as part of a chain that verifies.

        This comes before every request, so that a wrong address, root or clock costs no one-time code.
        """
        return _certificates(self._ask("GET", "/cacerts"))

    def _enroll(
        self,
        operation: str,
        key: ec.EllipticCurvePrivateKey,
        *,
        headers: dict[str, str] | None = None,
        shown: Path | None = None,
    ) -> x509.Certificate:
        request = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([])).sign(key, hashes.SHA256())
        body = base64.b64encode(request.public_bytes(Encoding.DER)) + b"\n"
        headers = {"Content-Type": "application/pkcs10", "Content-Transfer-Encoding": "base64", **(headers or {})}
        leaves = _certificates(self._ask("POST", operation, body=body, headers=headers, shown=shown))
        if len(leaves) != 1 or leaves[0].public_key() != key.public_key():
            raise Damaged("the fleet's answer is not one certificate for this device's key: report it to the fleet")
        return leaves[0]

    def _chain(
        self, leaf: x509.Certificate, authorities: list[x509.Certificate], role: Role, now: datetime
    ) -> list[x509.Certificate]:
        if leaf.not_valid_before_utc > now:
            raise WrongClock(f"the fleet's time is later than {now:%F %R} UTC here: check `timedatectl`")
        chain = [leaf, *(authority for authority in authorities if authority.subject == leaf.issuer)]
        der = [certificate.public_bytes(Encoding.DER) for certificate in chain]
        try:
            certificates.verify_chain(der, root=self.root, role=role, now=now)
        except Untrusted as error:
            raise WrongRoot(f"the fleet's answer does not verify under {self._root_path}: {error}") from error
        return chain

    def _ask(
        self,
        method: str,
        operation: str,
        *,
        body: bytes | None = None,
        headers: dict[str, str] | None = None,
        shown: Path | None = None,
    ) -> bytes:
        context = self._context(shown)
        connection = http.client.HTTPSConnection(self._host, self._port, timeout=TIMEOUT_S, context=context)
        try:
            connection.request(method, f"{_BASE}{operation}", body=body, headers=headers or {})
            response = connection.getresponse()
            answer = response.read(MAX_BODY + 1)
        except ssl.SSLCertVerificationError as error:
            raise self._untrusted(error) from error
        except (OSError, http.client.HTTPException) as error:
            raise Unreachable(
                f"{self._address} does not answer ({_reason(error)}): is the fleet service up?"
            ) from error
        finally:
            connection.close()
        if len(answer) > MAX_BODY:
            raise Damaged(f"{self._address} answers with more than {MAX_BODY} bytes: is it the fleet's EST service?")
        if response.status != http.client.OK:
            raise _refusal(response.status, answer)
        return answer

    def _context(self, shown: Path | None) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.verify_flags |= ssl.VERIFY_X509_STRICT
        context.load_verify_locations(self._root_path)
        if shown is not None:
            context.load_cert_chain(shown)
        return context

    def _untrusted(self, error: ssl.SSLCertVerificationError) -> EnrollmentError:
        if error.verify_code in (_NOT_YET_VALID, _EXPIRED):
            shows = f"{datetime.now(UTC):%F %R} UTC"
            return WrongClock(f"{self._address} has a certificate that is not valid at {shows}: check `timedatectl`")
        return WrongRoot(
            f"{self._address} is not vouched for by {self._root_path} ({error.verify_message}): "
            "check the address, and that the root is this fleet's"
        )


def _split(address: str) -> tuple[str, int | None]:
    try:
        parts = urlsplit(address)
        host, port = parts.hostname, parts.port
        (host or "").encode("idna")
    except ValueError:
        host = None
    if host is None:
        raise EnrollmentError(f"identity.est = {address!r} is not an address: https://HOST:PORT is wanted")
    return host, port


def _certificates(body: bytes) -> list[x509.Certificate]:
    try:
        return pkcs7.load_der_pkcs7_certificates(base64.b64decode(b"".join(body.split()), validate=True))
    except (binascii.Error, ValueError) as error:
        raise Damaged("the answer is no PKCS 7 in base64: is the address that of the fleet's EST service?") from error


def _refusal(status: int, body: bytes) -> EnrollmentError:
    text = "".join(character for character in body.decode("utf-8", "replace").strip() if character.isprintable())
    sentence = text[:_MAX_SENTENCE] or f"HTTP status {status}"
    if status == http.client.UNAUTHORIZED:
        return WrongClaim(f"the fleet refuses the code: {sentence}")
    if status == http.client.TOO_MANY_REQUESTS or status >= http.client.INTERNAL_SERVER_ERROR:
        return Unreachable(f"the fleet has no time now: {sentence}")
    if status == http.client.FORBIDDEN:
        return Rejected(f"the fleet refuses this device: {sentence}")
    return Damaged(f"the answer has status {status} ({sentence}): is the address that of the fleet's EST service?")


def _reason(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error) or type(error).__name__

"""What the camera's DTLS agrees to, asked by OpenSSL's own client over the pair of a real session."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from agent.media.stream import Stream
from agent.webrtc.records import MAX_DATAGRAM
from protocol.errors import Refused
from protocol.names import Role, device_id
from tests.kit.borrowed import Borrowed, attribute, borrowed
from tests.kit.caller import Signer, TrustTree
from tests.kit.house import Call, House, open_house

SRTP = ("-use_srtp", "SRTP_AES128_CM_SHA1_80:SRTP_AEAD_AES_128_GCM")
AEAD = ("ECDHE-ECDSA-AES128-GCM-SHA256", "ECDHE-ECDSA-AES256-GCM-SHA384", "ECDHE-ECDSA-CHACHA20-POLY1305")


@dataclass(frozen=True)
class Certificate:
    """A viewer's certificate in a file, as OpenSSL takes it."""

    path: Path
    certificate: x509.Certificate

    @property
    def arguments(self) -> tuple[str, ...]:
        return ("-cert", str(self.path), "-key", str(self.path))

    def fingerprint(self, algorithm: hashes.HashAlgorithm | None = None) -> str:
        """The value of an `a=fingerprint` (RFC 8122, section 5)."""
        algorithm = algorithm or hashes.SHA256()
        name = algorithm.name.replace("sha", "sha-")
        return f"{name} {self.certificate.fingerprint(algorithm).hex(':').upper()}"


def make_certificate(path: Path) -> Certificate:
    key, name, now = ec.generate_private_key(ec.SECP256R1()), x509.Name([]), datetime.now(UTC)
    builder = x509.CertificateBuilder(name, name, key.public_key(), 1, now, now + timedelta(days=1))
    certificate = builder.sign(key, hashes.SHA256())
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    path.write_bytes(pem + certificate.public_bytes(serialization.Encoding.PEM))
    return Certificate(path, certificate)


@pytest.fixture
def certificate(tmp_path: Path) -> Certificate:
    return make_certificate(tmp_path / "viewer.pem")


@contextlib.asynccontextmanager
async def s_client(port: int, *arguments: str, host: str = "127.0.0.1") -> AsyncIterator[asyncio.subprocess.Process]:
    """OpenSSL's client on the way to a port; it ends with the block."""
    process = await asyncio.create_subprocess_exec(
        *("openssl", "s_client", "-connect", f"{host}:{port}", *arguments),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()


async def said(process: asyncio.subprocess.Process, *wanted: str) -> str:
    """What OpenSSL says until it said one of these, or its end."""
    assert process.stdout is not None
    output = ""
    async with asyncio.timeout(20):
        while line := (await process.stdout.readline()).decode(errors="replace"):
            output += line
            if any(part in line for part in wanted):
                break
    return output


@pytest.fixture
async def viewer() -> AsyncIterator[Borrowed]:
    async with borrowed() as viewer:
        yield viewer


async def called(house: House, viewer: Borrowed, *fingerprints: str) -> Call:
    """Call with an offer that names these fingerprints, and find a path."""
    call = await house.call("a", change=viewer.offers(*fingerprints))
    await viewer.accept(await call.answer)
    return call


@pytest.mark.parametrize("cipher", AEAD)
async def test_a_viewer_with_its_certificate_and_srtp_is_let_in(
    house: House, viewer: Borrowed, certificate: Certificate, cipher: str
) -> None:
    await called(house, viewer, certificate.fingerprint())

    async with s_client(viewer.port, "-dtls1_2", "-cipher", cipher, *SRTP, *certificate.arguments) as client:
        output = await said(client, "Extended master secret")
        assert f"Cipher    : {cipher}" in output
        assert "SRTP Extension negotiated, profile=SRTP_" in output
        async with asyncio.timeout(15):
            while not house.session("a").connected:
                await asyncio.sleep(0.02)


@pytest.mark.parametrize(
    "cipher",
    ["ECDHE-ECDSA-AES128-SHA", "ECDHE-ECDSA-AES256-SHA384", "ECDHE-ECDSA-AES128-CCM", "ECDHE-RSA-AES128-GCM-SHA256"],
)
async def test_a_viewer_with_no_aead_cipher_of_ours_is_refused(
    house: House, viewer: Borrowed, certificate: Certificate, cipher: str
) -> None:
    call = await called(house, viewer, certificate.fingerprint())

    async with s_client(viewer.port, "-dtls1_2", "-cipher", cipher, *SRTP, *certificate.arguments) as client:
        output = await said(client, "alert")
        assert "alert handshake failure" in output
        assert await call.ended == "failed"


async def test_a_viewer_with_dtls_1_0_is_refused(house: House, viewer: Borrowed, certificate: Certificate) -> None:
    call = await called(house, viewer, certificate.fingerprint())

    async with s_client(viewer.port, "-dtls1", "-cipher", "ALL:@SECLEVEL=0", *SRTP, *certificate.arguments) as client:
        output = await said(client, "alert")
        assert "alert protocol version" in output
        assert await call.ended == "failed"


async def test_a_viewer_without_a_certificate_is_refused(
    house: House, viewer: Borrowed, certificate: Certificate
) -> None:
    call = await called(house, viewer, certificate.fingerprint())

    async with s_client(viewer.port, "-dtls1_2", *SRTP) as client:
        output = await said(client, "alert")
        assert "alert handshake failure" in output or "certificate required" in output
        assert await call.ended == "failed"


async def test_a_viewer_without_srtp_is_refused(house: House, viewer: Borrowed, certificate: Certificate) -> None:
    call = await called(house, viewer, certificate.fingerprint())

    async with s_client(viewer.port, "-dtls1_2", *certificate.arguments), asyncio.timeout(20):
        assert await call.ended == "failed"


async def test_a_viewer_with_another_certificate_than_its_offer_named_is_cut_off(
    house: House, viewer: Borrowed, certificate: Certificate, tmp_path: Path
) -> None:
    call = await called(house, viewer, make_certificate(tmp_path / "other.pem").fingerprint())
    shown = len(viewer.received)

    async with s_client(viewer.port, "-dtls1_2", *SRTP, *certificate.arguments), asyncio.timeout(20):
        assert await call.ended == "failed"

    assert not any(128 <= data[0] < 192 for data in viewer.received[shown:]), "media was sent to it"


@pytest.mark.parametrize("wrong", [hashes.SHA256(), hashes.SHA512()], ids=lambda algorithm: algorithm.name)
async def test_every_fingerprint_that_the_offer_named_has_to_match(
    house: House, viewer: Borrowed, certificate: Certificate, tmp_path: Path, wrong: hashes.HashAlgorithm
) -> None:
    other = make_certificate(tmp_path / "other.pem")
    call = await called(house, viewer, certificate.fingerprint(), other.fingerprint(wrong))

    async with s_client(viewer.port, "-dtls1_2", *SRTP, *certificate.arguments), asyncio.timeout(20):
        assert await call.ended == "failed"


async def test_a_fingerprint_of_sha_1_does_not_count(house: House, viewer: Borrowed) -> None:
    with pytest.raises(Refused, match="no SHA-256 fingerprint"):
        await house.call("a", change=viewer.offers("sha-1 " + ":".join(["AB"] * 20)))


async def test_openssl_from_an_address_without_a_pair_hears_nothing(
    house: House, viewer: Borrowed, certificate: Certificate
) -> None:
    call = await house.call("a", change=viewer.offers(certificate.fingerprint()))
    *_, host, port = attribute(await call.answer, "candidate")[0].split()[:6]

    async with s_client(int(port), "-dtls1_2", "-state", *SRTP, *certificate.arguments, host=host) as client:
        async with asyncio.timeout(20):
            while house.session("a").guard.drops.stranger < 2:  # it tries again after a second
                await asyncio.sleep(0.05)
        client.kill()
        assert client.stdout is not None
        output = (await client.stdout.read()).decode()

    assert "write client hello" in output
    assert "read" not in output
    assert not call.ended.done()


async def test_a_flight_with_a_large_certificate_leaves_in_whole_records_of_at_most_1200_bytes(
    stream: Stream, viewer: Borrowed, certificate: Certificate
) -> None:
    large = _large(TrustTree().leaf(Role.DEVICE, device_id(bytes(16))))

    async with open_house(stream, large) as house:
        await called(house, viewer, certificate.fingerprint())
        async with s_client(viewer.port, "-dtls1_2", *SRTP, *certificate.arguments) as client:
            assert "Cipher    : ECDHE-ECDSA-" in await said(client, "Cipher    :")
            async with asyncio.timeout(15):
                while not house.session("a").connected:
                    await asyncio.sleep(0.02)

    flight = [data for data in viewer.received if 20 <= data[0] < 64]
    assert sum(map(len, flight)) > 3 * MAX_DATAGRAM
    assert all(len(data) <= MAX_DATAGRAM for data in flight)


def _large(device: Signer) -> Signer:
    """The same device with a certificate of more than 3000 bytes."""
    old, now = device.chain[0], datetime.now(UTC)
    builder = x509.CertificateBuilder(old.subject, old.issuer, device.key.public_key(), 1, now, now + timedelta(days=1))
    many = x509.SubjectAlternativeName([x509.UniformResourceIdentifier("urn:" + "x" * 3000)])
    return Signer(key=device.key, chain=[builder.add_extension(many, critical=False).sign(device.key, hashes.SHA256())])

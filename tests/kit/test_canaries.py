"""A search that found nothing is worth something only where it finds what is there."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from protocol import jws
from tests.kit.canaries import Canaries, processes
from tests.kit.pki import new_key


@pytest.fixture
def canaries() -> Canaries:
    return Canaries()


def test_a_secret_is_found_where_it_stands_and_nowhere_else(canaries: Canaries) -> None:
    canaries.add("code", "abcd-efgh")

    assert canaries.in_log("12:00:00 debug x: took abcd-efgh") == ["code"]
    assert canaries.in_log("12:00:00 debug x: took abcd-efgi") == []


def test_a_signed_message_is_found_whoever_made_it(canaries: Canaries) -> None:
    message = jws.sign("bye", {"sid": "A" * 22}, key=new_key())

    assert canaries.in_log(f"sending {message} to broker") == ["a signed message"]


def test_a_private_key_is_found_by_any_line_of_it(canaries: Canaries, tmp_path: Path) -> None:
    pem = new_key().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    (tmp_path / "leaf.pem").write_text("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n" + pem)
    canaries.add_keys(tmp_path)

    assert canaries.in_log(pem.splitlines()[1]) == ["leaf.pem, key 0, line 0"]
    assert canaries.in_log(pem.splitlines()[2]) == ["leaf.pem, key 0, line 1"]
    assert canaries.in_log(pem.splitlines()[3]) == ["leaf.pem, key 0, line 2"]


def test_an_address_of_a_description_is_found_in_a_log_and_may_stand_elsewhere(canaries: Canaries) -> None:
    canaries.add_sdp(
        "v=0\r\nc=IN IP4 0.0.0.0\r\na=ice-ufrag:abcd\r\na=ice-pwd:secretsecret\r\n"
        "a=candidate:1 1 udp 1 192.0.2.7 5000 typ host\r\n"
    )

    assert canaries.in_log("checking 192.0.2.7:5000") == ["address 192.0.2.7 of a description"]
    assert canaries.in_process("ping 192.0.2.7") == []
    assert canaries.in_process("PASSWORD=secretsecret") == ["ICE password 0 of secr..."]


async def test_command_lines_and_environments_of_other_processes_are_seen(canaries: Canaries) -> None:
    canaries.add("argument", "canary-argument")
    canaries.add("variable", "canary-variable")
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", "print('ready', flush=True); input()", "canary-argument"),
        env={"SECRET": "canary-variable"},
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    await process.stdout.readline()

    found = {name for _, text in processes() for name in canaries.in_process(text)}
    process.kill()
    await process.wait()

    assert found == {"argument", "variable"}

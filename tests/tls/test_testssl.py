"""testssl.sh on every server of a fleet: what it finds above INFO is what docs/security/tls.md explains, and no less.

`make tls` runs it, `make test` does not.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import shlex
from pathlib import Path

import pytest

from tests.kit.pki import utc_now
from tests.kit.serving import serving

pytestmark = [pytest.mark.tls, pytest.mark.timeout(600)]

EXPLAINED = Path(__file__).parents[2] / "docs/security/tls.md"
SERVERS = ("mosquitto", "embedded", "EST and API")
_NO_FINDING = {"OK", "INFO", "DEBUG"}
_SCAN = (
    *("--quiet", "--color", "0", "--warnings", "batch", "--nodns", "none", "--ip", "127.0.0.1"),
    *("--protocols", "--std", "--pfs", "--server-preference", "--server-defaults", "--header", "--vulnerable"),
)


def explained(server: str) -> set[tuple[str, str]]:
    """The findings that the table explains for a server: their names and severities."""
    rows = re.findall(r"^\| ([\w ]+) \| `(\w+)` \| ([A-Z]+) \| \S", EXPLAINED.read_text(), re.MULTILINE)
    assert {where for where, _, _ in rows} <= {"all", *SERVERS}
    return {(name, severity) for where, name, severity in rows if where in {"all", server}}


def openssl_with(leaf: Path, to: Path) -> Path:
    """Write an openssl for testssl.sh that shows a certificate, and stays 0.2 s when it has no more to say.

    testssl.sh before 3.2 has no option for a certificate. What a server sends last, its refusal of a client without one
    and its tickets, comes after a client's handshake is over (RFC 8446, sections 4.4 and 4.6.1), and testssl.sh leaves
    as soon as it is: who is quicker must not decide what is found.
    """
    shown = shlex.join(["-cert", str(leaf), "-cert_chain", str(leaf), "-key", str(leaf)])
    to.write_text(f"""#!/bin/sh
[ "$1" = s_client ] || exec openssl "$@"
shift
{{ cat; sleep 0.2; }} | openssl s_client {shown} "$@"
""")
    to.chmod(0o755)
    return to


async def scan(port: int, root: Path, openssl: Path, report: Path) -> None:
    """Have testssl.sh write to `report` all that it says of a port."""
    process = await asyncio.create_subprocess_exec(
        *("testssl", *_SCAN, f"--add-ca={root}", f"--openssl={openssl}", "--jsonfile", report, f"localhost:{port}"),
        env=os.environ | {"NO_ENGINE": "true"},  # else it complains where the OpenSSL that it runs on has no GOST
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    await process.communicate()


@pytest.mark.parametrize("server", SERVERS)
async def test_every_finding_above_info_is_explained(tmp_path: Path, server: str) -> None:
    async with serving(tmp_path / "fleet", "embedded" if server == "embedded" else "mosquitto") as served:
        ports = served.fleet.ports
        port = ports.https if server == "EST and API" else ports.broker
        openssl = openssl_with(served.fleet.ensure_gateway(utc_now()).path, tmp_path / "openssl")
        await scan(port, served.fleet.directory / "root.pem", openssl, report := tmp_path / "report.json")

    findings: list[dict[str, str]] = json.loads(report.read_bytes())
    told = {finding["id"]: finding["finding"] for finding in findings}
    assert told["TLS1_2"].startswith("offered"), "the scan did not reach the server"
    assert told["cert_chain_of_trust"].startswith("passed")
    assert told["secure_client_renego"] == "not vulnerable", "a client's renegotiation was not tried and refused"
    assert "LUCKY13" in told, "the scan did not come to its end"
    found = {(finding["id"], finding["severity"]) for finding in findings if finding["severity"] not in _NO_FINDING}
    assert found == explained(server), [finding for finding in findings if finding["severity"] not in _NO_FINDING]

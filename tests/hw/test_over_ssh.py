"""`make hw` on this machine and, over a real sshd with a throwaway key, on "another" one, against the test pattern.

`make hw-ssh` runs it, `make test` does not: it makes an environment, which takes a minute.
"""

from __future__ import annotations

import getpass
import json
import os
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.kit.brokers import free_port

pytestmark = [pytest.mark.hw, pytest.mark.timeout(900)]
ROOT = Path(__file__).parents[2]
QUICK = "--source pattern --seconds 2 --to 1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Reachable:
    """A machine that is this one, with a home and a place for temporary files of its own."""

    home: Path
    temporary: Path
    environment: dict[str, str]  # for make

    def make_hw(self, out: Path, options: str, **changes: str) -> subprocess.CompletedProcess[str]:
        host = f"{getpass.getuser()}@127.0.0.1"
        return subprocess.run(
            ["make", "--no-print-directory", "hw", f"HOST={host}", f"HW_OPTIONS={options}"],
            cwd=ROOT,
            env=self.environment | {"OUT": str(out)} | changes,
            capture_output=True,
            text=True,
            check=False,
        )


@pytest.fixture(scope="module")
def board(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Reachable]:
    """Run sshd; who has the key is let in."""
    keys, home, temporary = (tmp_path_factory.mktemp(name) for name in ("keys", "home", "temporary"))
    for name in ("host", "mine"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", keys / name], check=True)
    port = free_port()
    (keys / "sshd_config").write_text(
        f"Port {port}\nListenAddress 127.0.0.1\nHostKey {keys}/host\nAuthorizedKeysFile {keys}/mine.pub\n"
        "StrictModes no\nUsePAM no\nPasswordAuthentication no\nKbdInteractiveAuthentication no\nPidFile none\n"
        f"SetEnv HOME={home} TMPDIR={temporary}\n"
    )
    if os.geteuid() == 0:
        Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)  # where sshd of root separates its privileges
    log = (keys / "log").open("wb")
    server = subprocess.Popen(["/usr/sbin/sshd", "-D", "-e", "-f", keys / "sshd_config"], stderr=log)
    ssh = (
        f"ssh -p {port} -i {keys}/mine -o StrictHostKeyChecking=no -o UserKnownHostsFile={keys}/known -o LogLevel=ERROR"
    )
    try:
        _wait_for(ssh, server, keys / "log")
        inherited = {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS"))}
        yield Reachable(home=home, temporary=temporary, environment=inherited | {"SSH": ssh})
    finally:
        server.terminate()
        server.wait()
        log.close()


def _wait_for(ssh: str, server: subprocess.Popen[bytes], log: Path) -> None:
    until = time.monotonic() + 30
    command = [*ssh.split(), "-o", "BatchMode=yes", f"{getpass.getuser()}@127.0.0.1", "true"]
    while (done := subprocess.run(command, capture_output=True, check=False)).returncode:
        assert server.poll() is None, log.read_text()
        assert time.monotonic() < until, done.stderr.decode() + log.read_text()
        time.sleep(0.1)


@pytest.fixture(scope="module")
def tried(board: Reachable, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Try the board once; the directory to which its pages came."""
    out = tmp_path_factory.mktemp("pages")
    done = board.make_hw(out, f"{QUICK} --name over-ssh")
    assert done.returncode == 0, done.stderr
    return out


def test_a_board_s_pages_come_back_and_say_what_it_was_tried_with(tried: Path) -> None:
    record = json.loads((tried / "over-ssh.json").read_text())
    page = (tried / "over-ssh.md").read_text()

    assert record["board"]["cores"] == os.cpu_count()
    assert (record["source"], record["real"]) == ("pattern", False)
    assert "figures are of the test pattern" in page
    outcomes = [one["outcome"] for one in record["contracts"]]
    assert outcomes.count("passed") >= 20
    assert "failed" not in outcomes
    assert all(one["why"] for one in record["contracts"] if one["outcome"] == "skipped")
    assert record["running"]["fps"] > 0
    assert record["running"]["first_picture_ms"] > 0
    assert "no LED" in record["light"]["skipped"]
    assert sorted(path.name for path in tried.iterdir()) == ["over-ssh.json", "over-ssh.md"]


def test_nothing_stays_there_but_the_environment(board: Reachable, tried: Path) -> None:
    assert list(board.temporary.iterdir()) == []
    assert {str(path.relative_to(board.home)) for path in board.home.glob("*")} == {".cache"}
    assert {path.name for path in (board.home / ".cache").iterdir()} == {"camward-hw"}


def test_a_run_that_fails_says_why_and_leaves_nothing_either(board: Reachable, tried: Path, tmp_path: Path) -> None:
    done = board.make_hw(tmp_path, "--name 'Not A File Name'")

    assert done.returncode != 0
    assert "small letters, digits and hyphens, please" in done.stderr
    assert "wrote no pages (the run ended with 2)" in done.stderr
    assert list(board.temporary.iterdir()) == []
    assert list(tmp_path.iterdir()) == []


def test_a_board_that_cannot_be_reached_is_one_line(board: Reachable, tmp_path: Path) -> None:
    done = board.make_hw(tmp_path, QUICK, SSH="ssh -p 1 -o LogLevel=QUIET")

    assert done.returncode != 0
    said = [line for line in done.stderr.splitlines() if not line.startswith("make: ")]
    assert len(said) == 1
    assert said[0].startswith("make hw: ")
    assert "cannot be reached without a password; try  ssh -p 1" in said[0]


def test_a_board_without_venv_is_told_which_package_it_lacks(tmp_path: Path) -> None:
    (tmp_path / "python3").write_text("#!/bin/sh\nexit 1\n")
    (tmp_path / "python3").chmod(0o755)
    done = subprocess.run(
        [ROOT / "hw-tests/run.sh", tmp_path / "environment"],
        env={"PATH": f"{tmp_path}:/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 1
    assert done.stderr == "This board has no python3 with venv: run  sudo apt-get install python3-venv\n"


def test_on_this_machine_it_needs_no_ssh(board: Reachable, tried: Path, tmp_path: Path) -> None:
    done = subprocess.run(
        [
            *(ROOT / "hw-tests/run.sh", board.home / ".cache/camward-hw"),
            *f"{QUICK} --name here --out {tmp_path}".split(),
        ],
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    assert json.loads((tmp_path / "here.json").read_text())["name"] == "here"
    assert done.stdout == (tmp_path / "here.md").read_text() + "\n"

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.service import notify

REPOSITORY = Path(__file__).parents[3]


@pytest.fixture
def systemd(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[socket.socket]:
    """What systemd listens on: a datagram socket whose path is in NOTIFY_SOCKET."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind(str(tmp_path / "notify"))
        listening.settimeout(5)
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        yield listening


def test_readiness_goes_out_with_its_status(systemd: socket.socket) -> None:
    notify.ready("camera asleep")
    assert systemd.recv(4096) == b"READY=1\nSTATUS=camera asleep"


def test_status_watchdog_and_stopping_are_datagrams_of_their_own(systemd: socket.socket) -> None:
    notify.status("2 viewers")
    notify.watchdog()
    notify.stopping()
    assert [systemd.recv(4096) for _ in range(3)] == [b"STATUS=2 viewers", b"WATCHDOG=1", b"STOPPING=1"]


def test_a_line_break_in_a_status_declares_nothing_else(systemd: socket.socket) -> None:
    notify.status("calm\nERRNO=5")
    assert systemd.recv(4096) == b"STATUS=calm\\nERRNO=5"


def test_without_a_notify_socket_nothing_happens(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    notify.ready("camera asleep")
    assert caplog.records == []


def test_a_socket_that_nobody_reads_costs_a_line_in_the_log_and_no_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "gone"))
    notify.watchdog()
    assert caplog.messages == ["systemd was not told WATCHDOG: [Errno 2] No such file or directory"]


def test_without_systemd_python_the_folder_of_units_is_not_taken_for_it(systemd: socket.socket) -> None:
    # -S leaves site-packages out, and the repository's systemd/ is then all that `import systemd` finds.
    program = (
        "import systemd; assert systemd.__file__ is None\n"
        "from agent.service import log, notify\n"
        "notify.ready('up'); notify.watchdog(); notify.stopping()"
    )
    subprocess.run(
        [sys.executable, "-S", "-c", program],
        env=os.environ | {"PYTHONPATH": str(REPOSITORY)},
        check=True,
        timeout=30,
    )
    systemd.setblocking(False)
    with pytest.raises(BlockingIOError):
        systemd.recv(4096)


def test_pings_are_due_at_half_the_time_that_systemd_allows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WATCHDOG_USEC", "30000000")
    monkeypatch.setenv("WATCHDOG_PID", str(os.getpid()))
    assert notify.watchdog_interval_s() == 15.0
    monkeypatch.delenv("WATCHDOG_PID")
    assert notify.watchdog_interval_s() == 15.0


def test_a_watchdog_meant_for_another_process_is_not_fed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WATCHDOG_USEC", "30000000")
    monkeypatch.setenv("WATCHDOG_PID", str(os.getppid()))
    assert notify.watchdog_interval_s() is None


@pytest.mark.parametrize("limit", [None, "", "0", "-5", "soon", "٣"])
def test_no_watchdog_is_fed_where_none_is_set(monkeypatch: pytest.MonkeyPatch, limit: str | None) -> None:
    monkeypatch.delenv("WATCHDOG_PID", raising=False)
    if limit is None:
        monkeypatch.delenv("WATCHDOG_USEC", raising=False)
    else:
        monkeypatch.setenv("WATCHDOG_USEC", limit)
    assert notify.watchdog_interval_s() is None

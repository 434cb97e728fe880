"""`camward demo` as people start, stop and kill it: the real processes, with a test picture."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from agent.config_file import load
from provisioning.box import BoxOptions, _write_config
from provisioning.box_ports import free_ports, is_free
from provisioning.cli import _source
from provisioning.files import FleetError
from provisioning.store import Ports
from tests.kit.brokers import free_port, make_fleet

pytestmark = [pytest.mark.broker, pytest.mark.xdist_group("demo"), pytest.mark.timeout(90)]
ADDRESS = re.compile(r"(?P<base>https?://\S+?)/#code=(?P<code>[a-z2-7]{4}(-[a-z2-7]{4}){3})$")


class Demo:
    """A demo that runs, and the lines that it printed."""

    def __init__(self, directory: Path, *options: str, preset: dict[str, str] | None = None) -> None:
        command = [sys.executable, "-m", "camward", "demo", "--dir", str(directory), "--no-browser"]
        self.lines: list[str] = []
        self.process = subprocess.Popen(
            [*command, "--source", "pattern", *options],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env=os.environ | (preset or {}),
        )

    def until(self, pattern: str) -> re.Match[str]:
        """Read on to a line that has `pattern`."""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.lines.append(line.rstrip())
            print(self.lines[-1])  # noqa: T201  # for whoever reads why a test waited in vain
            if found := re.search(pattern, self.lines[-1]):
                return found
        raise AssertionError(f"the demo ended before it said {pattern!r}:\n" + "\n".join(self.lines))

    def address(self) -> re.Match[str]:
        self.until("ready: open ")
        found = ADDRESS.search(self.lines[-1])
        assert found is not None
        return found

    def end(self, number: int = signal.SIGINT) -> int:
        self.process.send_signal(number)
        return self.wait()

    def wait(self) -> int:
        out, _ = self.process.communicate(timeout=40)
        self.lines += out.splitlines()
        return self.process.returncode

    def children(self) -> list[psutil.Process]:
        return psutil.Process(self.process.pid).children(recursive=True)


@contextlib.contextmanager
def demo(directory: Path, *options: str) -> Iterator[Demo]:
    running = Demo(directory, *options)
    try:
        yield running
    finally:
        if running.process.poll() is None:
            running.process.kill()
            running.process.wait()


@pytest.mark.parametrize("broker", ["embedded", "mosquitto"])
def test_a_demo_enrols_its_camera_is_ready_and_ends_on_ctrl_c(tmp_path: Path, broker: str) -> None:
    with demo(tmp_path / "demo", "--broker", broker, "--port", str(free_port())) as running:
        address = running.address()
        assert address["base"].startswith("http://localhost:")
        with urllib.request.urlopen(f"{address['base']}/", timeout=5) as page:  # noqa: S310
            assert b"camward" in page.read()
        if not any("demo camera: connected" in line for line in running.lines):
            running.until("demo camera: connected")  # the registry is asked for its name, so it may come after "ready"
        told = "\n".join(running.lines)
        for said in ("made a fleet", "made its keys"):
            assert said in told
        children = running.children()
        assert any("run" in child.cmdline() for child in children)
        assert running.end() == 0
        assert "Traceback" not in "\n".join(running.lines)
        assert not [child for child in children if child.is_running()]


def test_a_second_run_keeps_the_identity_and_is_ready_in_seconds(tmp_path: Path) -> None:
    directory, port = tmp_path / "demo", str(free_port())
    began_at = time.monotonic()
    with demo(directory, "--port", port) as first:
        enrolled = first.until(r"is enrolled as ([a-z2-7]{26})")[1]
        first.address()
        first_s = time.monotonic() - began_at
        assert first.end(signal.SIGTERM) == 0
    began_at = time.monotonic()
    with demo(directory, "--port", port) as second:
        assert second.until(r"has its identity from the last time, ([a-z2-7]{26})")[1] == enrolled
        second.address()
        assert time.monotonic() - began_at < max(10, 2 * first_s)
        assert second.end() == 0


def test_a_demo_whose_camera_lost_its_identity_gives_it_a_new_one(tmp_path: Path) -> None:
    directory, port = tmp_path / "demo", str(free_port())
    with demo(directory, "--port", port) as first:
        first.address()
        assert first.end() == 0
    for path in (directory / "device").iterdir():
        path.unlink()
    with demo(directory, "--port", port) as second:
        second.until("made its keys")
        second.address()
        assert second.end() == 0


@pytest.mark.parametrize("broker", ["embedded", "mosquitto"])
def test_no_child_outlives_a_demo_that_is_killed(tmp_path: Path, broker: str) -> None:
    with demo(tmp_path / "demo", "--broker", broker, "--port", str(free_port())) as running:
        running.address()
        children = running.children()
        assert len(children) == (2 if broker == "mosquitto" else 1)
        running.process.kill()
        running.process.wait()
        _, alive = psutil.wait_procs(children, timeout=10)
        assert alive == []


def test_a_camera_that_dies_is_started_again(tmp_path: Path) -> None:
    with demo(tmp_path / "demo", "--port", str(free_port())) as running:
        running.address()
        (camera,) = running.children()
        camera.kill()
        running.until("device: ended .*starts again")
        running.until("demo camera: connected")
        assert running.end() == 0


def test_a_port_in_use_moves_to_a_free_one_and_says_so(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with demo(tmp_path / "demo", "--port", str(port)) as running:
            moved = running.until(rf"port {port} is in use: page moves to (\d+)")[1]
            assert running.address()["base"] == f"http://localhost:{moved}"
            assert running.end() == 0


def test_another_address_is_served_over_https(tmp_path: Path) -> None:
    with demo(tmp_path / "demo", "--host", "192.0.2.7", "--port", str(free_port()), "--seconds", "6") as running:
        assert running.address()["base"].startswith("https://192.0.2.7:")
        assert running.wait() == 0


def test_a_second_demo_in_the_same_directory_is_refused(tmp_path: Path) -> None:
    with demo(tmp_path / "demo", "--port", str(free_port())) as first:
        first.address()
        with demo(tmp_path / "demo") as second:
            assert second.wait() == 1
            assert [line for line in second.lines if "runs in" in line and "already" in line] == second.lines
        assert first.end() == 0


@pytest.mark.parametrize("source", ["clip:missing.mp4", "clip:", "frob"])
def test_a_source_that_is_none_is_one_line(tmp_path: Path, source: str) -> None:
    with demo(tmp_path / "demo", "--port", str(free_port()), "--source", source) as running:
        assert running.wait() == 1
        assert source in running.lines[-1]
        assert "Traceback" not in "\n".join(running.lines)


def test_sources_with_names_are_as_many_cameras(tmp_path: Path) -> None:
    sources = dict(map(_source, ["clip:a=b.mp4", "door=pattern", "garden=clip:a=b.mp4", "pattern"]))
    assert sources == {"": "pattern", "door": "pattern", "garden": "clip:a=b.mp4"}
    del sources["garden"]

    config = load(_write_config(BoxOptions(directory=tmp_path, sources=sources), make_fleet(tmp_path / "fleet")))

    assert {name: camera.source for name, camera in config.every_camera().items()} == {"door": "pattern"}


def test_the_code_is_in_no_command_line_and_in_no_file(tmp_path: Path) -> None:
    with demo(tmp_path / "demo", "--port", str(free_port())) as running:
        seen: list[list[str]] = []
        while not any("run" in arguments for arguments in seen):
            with contextlib.suppress(psutil.Error):
                seen += [child.cmdline()[3:] for child in running.children()]
            assert running.process.poll() is None
            time.sleep(0.01)
        config = str(tmp_path / "demo" / "agent.toml")
        enrolling = [arguments for arguments in seen if arguments[:1] == ["enroll"]]
        assert enrolling
        assert all(arguments == ["enroll", "--config", config, "--serial", "demo"] for arguments in enrolling)
        code = running.address()["code"]
        kept = b"".join(path.read_bytes() for path in (tmp_path / "demo").rglob("*") if path.is_file())
        assert code.encode() not in kept
        assert running.end() == 0


def test_ports_are_never_given_twice() -> None:
    said: list[str] = []
    port = free_port()
    chosen = free_ports(Ports(https=port, page=port, broker=port), said.append)
    assert len({chosen.https, chosen.page, chosen.broker}) == 3
    assert len(said) == 2
    assert is_free(chosen.broker)


def test_no_free_port_is_said_in_one_line() -> None:
    with socket.create_server(("", 65535)), pytest.raises(FleetError, match="no port from 65535"):
        free_ports(Ports(page=65535), lambda line: None)

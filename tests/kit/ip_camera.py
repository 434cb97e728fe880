"""An IP camera that a test can switch off, freeze and bring back: a real RTSP server in a process of its own."""

from __future__ import annotations

import contextlib
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

_SERVER = Path(__file__).with_name("rtsp_server.py")


class IpCamera:
    """Serves one file; `login` is username, password and "basic" or "digest"."""

    def __init__(self, file: Path, *login: str) -> None:
        self._file = file
        self._login = login
        self._port = "0"
        self._process: subprocess.Popen[str] | None = None

    @property
    def url(self) -> str:
        """Say where the picture is."""
        return f"rtsp://127.0.0.1:{self._port}/live"

    def switch_on(self) -> None:
        """Start, at the same port as before."""
        # The bindings are of the system's Python, whichever one the tests run on.
        command = ["/usr/bin/python3", str(_SERVER), self._port, str(self._file), *self._login]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        assert line, "the RTSP server did not start"
        self._port = line.strip()

    def switch_off(self) -> None:
        """Die without a word, as by a power cut."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            assert self._process.stdout is not None
            self._process.stdout.close()
            self._process = None

    def freeze(self) -> None:
        """Go on existing, and say nothing more."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)


@contextlib.contextmanager
def ip_camera(file: Path, *login: str) -> Iterator[IpCamera]:
    """Have one that is on."""
    camera = IpCamera(file, *login)
    camera.switch_on()
    try:
        yield camera
    finally:
        camera.switch_off()

"""What a process that holds keys and codes leaves behind when it crashes: nothing."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

_AS_MUCH_AS_MAY_BE = "resource.setrlimit(resource.RLIMIT_CORE, (resource.getrlimit(resource.RLIMIT_CORE)[1],) * 2)"
_COMMAND = "from camward.cli import main; main(['--version'])"


def _after_the_command(then: str, directory: Path) -> subprocess.CompletedProcess[str]:
    code = f"import ctypes, os, resource\n{_AS_MUCH_AS_MAY_BE}\n{_COMMAND}\n{then}"
    return subprocess.run(
        [sys.executable, "-c", code],
        cwd=directory,
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


def test_a_crash_writes_no_core(tmp_path: Path) -> None:
    done = _after_the_command("os.abort()", tmp_path)

    assert done.returncode == -signal.SIGABRT
    assert list(tmp_path.iterdir()) == []


def test_the_kernel_is_told_by_both_of_its_ways(tmp_path: Path) -> None:
    get_dumpable = "print(ctypes.CDLL(None).prctl(3, 0, 0, 0, 0), resource.getrlimit(resource.RLIMIT_CORE)[0])"

    assert _after_the_command(get_dumpable, tmp_path).stdout.splitlines()[-1] == "0 0"

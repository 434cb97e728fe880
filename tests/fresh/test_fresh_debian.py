"""`make demo` where nothing is installed: a bare Debian 12 with python3, venv and make, and a user who is not root.

Needs root for the tree (debootstrap, chroot); `make fresh` runs it, `make test` does not.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.async_api import async_playwright, expect

from tests.kit.chromium import launch

pytestmark = [pytest.mark.fresh, pytest.mark.timeout(1200)]
TREE = Path("/var/tmp/camward-fresh")  # noqa: S108  # kept between runs: it takes minutes to make
CA_BUNDLE = "etc/ssl/certs/ca-certificates.crt"
READY = re.compile(r"ready: open (\S+)")


@pytest.fixture
def home(request: pytest.FixtureRequest) -> Iterator[Path]:
    """A clone of this checkout in the home of a user in a fresh tree."""
    if not (TREE / "home/newcomer").exists():
        shutil.rmtree(TREE, ignore_errors=True)
        packages = "--include=python3,python3-venv,make,ca-certificates"
        subprocess.run(["debootstrap", "--variant=minbase", packages, "bookworm", TREE], check=True)
        subprocess.run(["chroot", TREE, "useradd", "--create-home", "newcomer"], check=True)
    for name in ("etc/resolv.conf", "etc/hosts", CA_BUNDLE):
        shutil.copy(f"/{name}", TREE / name)
    clone = TREE / "home/newcomer/camward"
    shutil.rmtree(clone, ignore_errors=True)
    subprocess.run(["git", "clone", "--quiet", request.config.rootpath, clone], check=True)
    subprocess.run(["chroot", TREE, "chown", "-R", "newcomer", "/home/newcomer/camward"], check=True)
    with _mounted("proc"), _mounted("dev"):
        yield clone


@contextlib.contextmanager
def _mounted(name: str) -> Iterator[None]:
    subprocess.run(["mount", "--bind", f"/{name}", TREE / name], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", TREE / name], check=True)


async def test_make_demo_is_all_that_a_newcomer_types(home: Path) -> None:
    typed = "cd /home/newcomer/camward && exec make demo DEMO_OPTIONS=--no-browser"
    process = await asyncio.create_subprocess_exec(
        *("/usr/sbin/chroot", "--userspec=newcomer:newcomer", TREE, "/bin/sh", "-c", typed),
        env={
            "HOME": "/home/newcomer",
            "PATH": "/usr/bin:/bin",
            "PIP_CERT": f"/{CA_BUNDLE}",
            **{name: value for name, value in os.environ.items() if name.lower().endswith("_proxy")},
        },
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        start_new_session=True,
    )
    assert process.stdout is not None
    lines: list[str] = []
    try:
        async with asyncio.timeout(900):
            while not (found := READY.search(lines[-1] if lines else "")):
                line = await process.stdout.readline()
                assert line, "make demo ended:\n" + "".join(lines)
                lines.append(line.decode())
        async with async_playwright() as playwright:
            browser = await launch(playwright)
            page = await browser.new_page()
            await page.goto(found[1])
            await page.locator("#devices li[data-device] button").click()
            await expect(page.locator("#state")).to_have_text("Live", timeout=20_000)
            await expect(page.locator("#identity")).to_contain_text("Verified")
            await browser.close()
    finally:
        os.killpg(process.pid, signal.SIGINT)
        rest, _ = await process.communicate()
    assert process.returncode in {0, -signal.SIGINT}, rest.decode()  # make ends by the signal that it was sent
    assert "Traceback" not in rest.decode()

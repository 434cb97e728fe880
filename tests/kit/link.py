"""Networks on one machine, and links between them with a rate, a delay and loss that can be changed at any time.

A link is two TUN devices with a process of its own between them, so it needs root, and nothing of the kernel's netem.
Namespaces and devices have no name outside, and vanish with the processes that use them, however those end.

    with namespace() as camera, namespace() as viewer, link(camera, viewer, to_far=Conditions(rate_bps=2e6)) as line:
        with camera.entered():
            ...  # sockets, processes and threads that are made in here belong to the camera's network
        subprocess.run(viewer.command("ping", "-c1", line.near_address))
        line.change(to_far=Conditions(rate_bps=20e6))
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import itertools
import json
import os
import struct
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import pytest

from tests.kit.link_path import Conditions, Counts

TUN = Path("/dev/net/tun")
MTU = 1500

needs_root = pytest.mark.skipif(os.geteuid() != 0 and "CI" not in os.environ, reason="namespaces and TUN need root")

_CLONE_NEWNET = 0x40000000
_TUNSETIFF, _IFF_TUN, _IFF_NO_PI = 0x400454CA, 0x0001, 0x1000
_MINE = "/proc/thread-self/ns/net"
_libc = ctypes.CDLL(None, use_errno=True)
_numbers = itertools.count(1)


class Namespace:
    """A network of its own."""

    def __init__(self, fd: int) -> None:
        self._fd = fd

    @contextlib.contextmanager
    def entered(self) -> Iterator[None]:
        """Move this thread into the network; sockets, threads and processes that it makes meanwhile stay there."""
        before = os.open(_MINE, os.O_RDONLY)
        _enter(self._fd)
        try:
            yield
        finally:
            _enter(before)
            os.close(before)

    @property
    def path(self) -> str:
        """Where other programs find the network, for as long as this process lives."""
        return f"/proc/{os.getpid()}/fd/{self._fd}"

    def command(self, *command: str | Path) -> list[str]:
        """The command line that runs a command in the network, for as long as this process lives."""
        return ["nsenter", f"--net={self.path}", *map(str, command)]

    def ip(self, *arguments: str) -> None:
        """Run ip(8) in the network."""
        subprocess.run(self.command("ip", *arguments), check=True)


def cable(near: Namespace, far: Namespace, *, near_end: str, far_end: str, name: str = "eth0") -> None:
    """Join two networks by a veth pair, which vanishes with them. An end is an address with its prefix's length."""
    far_name = f"to-{near_end.split('/')[0]}"[:15]
    near.ip("link", "add", name, "type", "veth", "peer", "name", far_name, "netns", far.path)
    for place, device, end in ((near, name, near_end), (far, far_name, far_end)):
        place.ip("address", "add", end, "dev", device)
        place.ip("link", "set", device, "up")


@contextlib.contextmanager
def namespace() -> Iterator[Namespace]:
    """Make a network with nothing but a loopback device, and without IPv6 on others: nothing speaks unasked."""
    before = os.open(_MINE, os.O_RDONLY)
    if _libc.unshare(_CLONE_NEWNET):
        raise OSError(ctypes.get_errno(), "a network namespace cannot be made")
    fd = os.open(_MINE, os.O_RDONLY)
    try:
        with contextlib.suppress(FileNotFoundError):  # a kernel without IPv6
            Path("/proc/sys/net/ipv6/conf/default/disable_ipv6").write_text("1")
        subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
        _enter(before)
        yield Namespace(fd)
    finally:
        _enter(before)
        os.close(before)
        os.close(fd)


@dataclass(slots=True, kw_only=True)
class Link:
    """A link that carries packets. The far end reaches all other networks through it, the near end only the far one."""

    near_address: str
    far_address: str
    to_near: Conditions
    to_far: Conditions
    process: subprocess.Popen[bytes]

    def change(self, *, to_near: Conditions | None = None, to_far: Conditions | None = None) -> None:
        """Change one direction or both, from now on."""
        self.to_near, self.to_far = to_near or self.to_near, to_far or self.to_far
        self._ask(to_near=self.to_near, to_far=self.to_far)

    def down(self) -> None:
        """Lose every packet from now on, without a word to either end."""
        self._ask(to_near=replace(self.to_near, loss=1.0), to_far=replace(self.to_far, loss=1.0))

    def up(self) -> None:
        """Be as before `down`."""
        self.change()

    def counts(self) -> tuple[Counts, Counts]:
        """What went to the near end and to the far end so far."""
        return self._ask()

    def _ask(self, **conditions: Conditions) -> tuple[Counts, Counts]:
        assert self.process.stdin
        assert self.process.stdout
        self.process.stdin.write(json.dumps({name: asdict(value) for name, value in conditions.items()}).encode())
        self.process.stdin.write(b"\n")
        self.process.stdin.flush()
        said = json.loads(self.process.stdout.readline())
        return Counts(**said["to_near"]), Counts(**said["to_far"])


@contextlib.contextmanager
def link(
    near: Namespace,
    far: Namespace,
    *,
    to_near: Conditions | None = None,
    to_far: Conditions | None = None,
    seed: int = 1,
) -> Iterator[Link]:
    """Join two networks; `seed` decides which packets get lost."""
    number = next(_numbers)
    name, subnet = f"link{number}", f"10.77.{number % 256}"
    with contextlib.ExitStack() as stack:
        tuns = [stack.enter_context(_tun(end, name, f"{subnet}.{host}")) for end, host in ((near, 1), (far, 2))]
        far.ip("route", "add", "default", "dev", name)
        command = [sys.executable, "-m", "tests.kit.link_process", *map(str, tuns), str(seed)]
        process = stack.enter_context(
            subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, pass_fds=tuns)
        )
        made = Link(
            near_address=f"{subnet}.1",
            far_address=f"{subnet}.2",
            to_near=to_near or Conditions(),
            to_far=to_far or Conditions(),
            process=process,
        )
        made.change()
        yield made


@contextlib.contextmanager
def _tun(place: Namespace, name: str, address: str) -> Iterator[int]:
    """Make a TUN device that lives as long as the file it is. Without IFF_VNET_HDR the kernel segments for it."""
    with place.entered():
        fd = os.open(TUN, os.O_RDWR | os.O_NONBLOCK)
    try:
        fcntl.ioctl(fd, _TUNSETIFF, struct.pack("16sH22x", name.encode(), _IFF_TUN | _IFF_NO_PI))
        place.ip("address", "add", f"{address}/24", "dev", name)
        place.ip("link", "set", name, "mtu", str(MTU), "up")
        yield fd
    finally:
        os.close(fd)


def _enter(fd: int) -> None:
    if _libc.setns(fd, _CLONE_NEWNET):
        raise OSError(ctypes.get_errno(), "a network namespace cannot be entered")

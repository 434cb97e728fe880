"""Ports for the fleet in a box: the usual ones, or the next that are free."""

from __future__ import annotations

import contextlib
import errno
import socket
from collections.abc import Callable
from dataclasses import asdict

from provisioning.files import FleetError
from provisioning.store import Ports

_TRIES = 100


def free_ports(wanted: Ports, say: Callable[[str], None]) -> Ports:
    """Take `wanted`; for a port in use the next free one, with a line that says so. Errors: FleetError."""
    chosen: dict[str, int] = {}
    for name, port in asdict(wanted).items():
        candidates = range(port, min(port + _TRIES, 65536))
        free = next((number for number in candidates if number not in chosen.values() and is_free(number)), None)
        if free is None:
            raise FleetError(f"no port from {port} on is free: stop what has them, or give another --port")
        if free != port:
            say(f"port {port} is in use: {name} moves to {free}")
        chosen[name] = free
    return Ports(**chosen)


def is_free(port: int) -> bool:
    """Whether nothing listens on this port, on any address of the machine."""
    for family, address in ((socket.AF_INET, "0.0.0.0"), (socket.AF_INET6, "::")):  # noqa: S104  # tried, not served
        with contextlib.suppress(OSError), socket.socket(family) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family is socket.AF_INET6:
                probe.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            try:
                probe.bind((address, port))
            except OSError as error:
                if error.errno in {errno.EADDRINUSE, errno.EACCES}:
                    return False
                raise  # an address family that this machine does not have
    return True

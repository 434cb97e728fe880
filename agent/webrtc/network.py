"""Hears from the kernel that the addresses of this device have changed (rtnetlink(7))."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
from collections.abc import Callable
from typing import Final

import ifaddr

_LOG: Final = logging.getLogger(__name__)

_GROUPS: Final = 0x10 | 0x40 | 0x100 | 0x400  # RTMGRP_IPV4_IFADDR, _IPV4_ROUTE, _IPV6_IFADDR, _IPV6_ROUTE
_SETTLE_S: Final = 0.1  # an address, its routes and what went before them come one by one
_LARGEST: Final = 65536  # bytes of what the kernel says at once; only that it says something counts


def addresses() -> frozenset[str]:
    """List the addresses of all interfaces."""
    return frozenset(
        ip.ip if isinstance(ip.ip, str) else ip.ip[0] for adapter in ifaddr.get_adapters() for ip in adapter.ips
    )


async def watch(changed: Callable[[frozenset[str]], None]) -> None:
    """Tell of each change of an address or a route, with the addresses that are gone. Runs until cancelled.

    Where the kernel may not be asked, returns after a word: connections then find out by themselves.
    """
    loop = asyncio.get_running_loop()
    try:
        kernel = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_NONBLOCK, socket.NETLINK_ROUTE)
        kernel.bind((0, _GROUPS))
    except OSError as error:
        _LOG.info("changes of the network are found by trying: %s", error.strerror)
        return
    with kernel:
        known = addresses()
        while True:
            with contextlib.suppress(OSError):  # ENOBUFS: it said more than there was room for, which is a change too
                await loop.sock_recv(kernel, _LARGEST)
            await asyncio.sleep(_SETTLE_S)
            with contextlib.suppress(OSError):
                while kernel.recv(_LARGEST):
                    pass
            now = addresses()
            changed(known - now)
            known = now

"""The addresses that this machine's network interfaces have."""

from __future__ import annotations

import ifaddr


def interfaces() -> list[tuple[str, str]]:
    """List (interface, address/prefix)."""
    return [
        (adapter.name, f"{ip.ip if isinstance(ip.ip, str) else ip.ip[0]}/{ip.network_prefix}")
        for adapter in ifaddr.get_adapters()
        for ip in adapter.ips
    ]

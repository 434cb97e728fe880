"""Which of a viewer's candidates may be probed: a camera is no port scanner (pure)."""

from __future__ import annotations

import ipaddress
import re
from typing import Final

_MDNS: Final = re.compile(r"[0-9a-f-]{1,63}\.local", re.IGNORECASE)  # draft-ietf-mmusic-mdns-ice-candidates
_METADATA: Final = frozenset(map(ipaddress.ip_address, ("169.254.169.254", "fd00:ec2::254", "100.100.100.200")))


def may_probe(host: str, port: int) -> bool:
    """Decide on one candidate on the local network, where private addresses and mDNS names are welcome."""
    if not 1024 <= port <= 65535:
        return False
    if _MDNS.fullmatch(host):
        return True
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    address = getattr(address, "ipv4_mapped", None) or address
    return not (
        address.is_loopback
        or address.is_link_local
        or address.is_multicast
        or address.is_unspecified
        or address.is_reserved
        or address in _METADATA
    )

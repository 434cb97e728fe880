"""Which addresses a viewer may learn, and which of a viewer's are probed: a camera is no port scanner (pure).

Three modes, after RFC 8828: `lan` offers every address, `direct` what is seen from outside, `relay` a relay's alone.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Final, TypeAlias

_Network: TypeAlias = ipaddress.IPv4Network | ipaddress.IPv6Network
_Address: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address

_MDNS: Final = re.compile(r"[0-9a-f-]{1,63}\.local", re.IGNORECASE)  # draft-ietf-mmusic-mdns-ice-candidates
_METADATA: Final = frozenset(map(ipaddress.ip_address, ("169.254.169.254", "fd00:ec2::254", "100.100.100.200")))
_VIRTUAL: Final = (  # of containers, virtual machines and tunnels: no viewer is reached through one unasked
    *("docker*", "br-*", "veth*", "podman*", "cni*", "flannel*", "cali*", "lxc*", "lxd*"),
    *("virbr*", "vnet*", "vmnet*", "vboxnet*"),
    *("tun*", "tap*", "wg*", "tailscale*", "zt*", "nebula*", "ipsec*"),
)


def may_probe(host: str, port: int, mode: str) -> bool:
    """Decide on one address of a viewer. Private ones and mDNS names are welcome on the local network alone."""
    if not 1024 <= port <= 65535:
        return False
    if _MDNS.fullmatch(host):
        return mode == "lan"
    try:
        address = _meant(ipaddress.ip_address(host))
    except ValueError:
        return False
    return _is_ordinary(address) and address not in _METADATA and (mode == "lan" or address.is_global)


def is_public(host: str) -> bool:
    """Whether anybody may learn an address: it means the same everywhere. `host` is an address."""
    return _meant(ipaddress.ip_address(host)).is_global


@dataclass(frozen=True, slots=True, kw_only=True)
class Reach:
    """What a device's interfaces give: addresses that a session may use, and networks that it stays out of."""

    own: tuple[str, ...] = ()
    inside: tuple[_Network, ...] = ()
    outside: tuple[_Network, ...] = ()

    def allows(self, host: str) -> bool:
        """Whether no interface that was left out leads there; `host` is an address."""
        address = _meant(ipaddress.ip_address(host))
        astray = any(address in network for network in self.outside)
        return not astray or any(address in network for network in self.inside)


def reach(found: Iterable[tuple[str, str]], wanted: Sequence[str]) -> Reach:
    """Choose from (interface, address/prefix) what one of `wanted` names, or else all that is not virtual."""
    own, inside, outside = [], [], []
    for name, text in found:
        end = ipaddress.ip_interface(text)
        named = any(_is_named(name, end.ip, one) for one in wanted)
        if named or (not wanted and not any(fnmatchcase(name, pattern) for pattern in _VIRTUAL)):
            inside.append(end.network)
            if _is_ordinary(end.ip):
                own.append(str(end.ip))
        else:
            outside.append(end.network)
    return Reach(own=tuple(own), inside=tuple(inside), outside=tuple(outside))


def _is_named(name: str, address: _Address, wanted: str) -> bool:
    return address in ipaddress.ip_network(wanted) if "/" in wanted else fnmatchcase(name, wanted)


def _is_ordinary(address: _Address) -> bool:
    return not (
        address.is_loopback
        or address.is_link_local
        or address.is_multicast
        or address.is_unspecified
        or address.is_reserved
    )


def _meant(address: _Address) -> _Address:
    """Give the IPv4 address that an IPv6 one stands for, and that a packet to it would go to."""
    if isinstance(address, ipaddress.IPv4Address):
        return address
    return address.ipv4_mapped or address.sixtofour or address

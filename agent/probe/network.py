"""The network interfaces, and which of them viewers would be offered, by the rule that a session goes by."""

from __future__ import annotations

from agent.config import NetworkConfig
from agent.probe.facts import Interface
from agent.webrtc.addresses import reach
from agent.webrtc.interfaces import interfaces


def network(config: NetworkConfig) -> tuple[Interface, ...]:
    """Name the interfaces that have addresses, those that are offered first."""
    addresses: dict[str, list[str]] = {}
    for name, address in interfaces():
        addresses.setdefault(name, []).append(address)
    return tuple(
        sorted((_interface(name, own, config) for name, own in addresses.items()), key=lambda one: not one.offered)
    )


def _interface(name: str, addresses: list[str], config: NetworkConfig) -> Interface:
    offered = reach([(name, address) for address in addresses], config.interfaces).own
    return Interface(name=name, addresses=tuple(address.partition("/")[0] for address in addresses), offered=offered)

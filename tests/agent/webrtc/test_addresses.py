"""A viewer's candidate is probed only where a camera on a local network has any business."""

from __future__ import annotations

import pytest

from agent.webrtc.addresses import may_probe


@pytest.mark.parametrize(
    "host",
    ["192.168.1.7", "10.0.0.7", "8.8.4.4", "fd00::2", "2a00:1450::1"],
)
def test_an_ordinary_address_is_probed(host: str) -> None:
    assert may_probe(host, 50_000)


def test_an_mdns_name_is_probed() -> None:
    assert may_probe("1f2e3d4c-aaaa-bbbb-cccc-1234567890ab.local", 50_000)


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "::1",
        "0.0.0.0",  # noqa: S104  # an address to refuse, not to bind
        "169.254.7.7",
        "169.254.169.254",
        "fe80::1",
        "fd00:ec2::254",
        "224.0.0.251",
        "ff02::fb",
        "255.255.255.255",
        "::ffff:127.0.0.1",
        "::ffff:169.254.169.254",
        "localhost",
        "printer.example",
        "",
        "10.0.0.7; rm",
    ],
)
def test_no_other_host_is_probed(host: str) -> None:
    assert not may_probe(host, 50_000)


@pytest.mark.parametrize("port", [0, 9, 22, 1023, 65_536, -1])
def test_no_port_of_a_system_service_is_probed(port: int) -> None:
    assert not may_probe("192.168.1.7", port)

"""What a viewer may learn of the device, and which of a viewer's addresses a camera has any business with."""

from __future__ import annotations

import pytest

from agent.webrtc.addresses import may_probe, reach

MODES = ["lan", "direct", "relay"]
PRIVATE = ["192.168.1.7", "10.0.0.7", "172.16.0.7", "100.64.0.7", "fd00::2", "::ffff:10.0.0.7", "2002:0a00:0007::1"]
MDNS = "1f2e3d4c-aaaa-bbbb-cccc-1234567890ab.local"
FOUND = [
    ("lo", "127.0.0.1/24"),
    ("lo", "::1/64"),
    ("eth0", "192.168.1.5/24"),
    ("eth0", "2a00:1450::5/64"),
    ("eth0", "fe80::5/64"),
    ("wlan0", "192.168.2.5/24"),
    ("wlan0", "169.254.7.7/24"),
    ("docker0", "172.17.0.1/24"),
    ("br-1f2e3d4c5b6a", "172.18.0.1/24"),
    ("veth1f2e3d4", "172.19.0.1/24"),
    ("virbr0", "192.168.122.1/24"),
    ("wg0", "10.8.0.5/24"),
    ("tun0", "10.9.0.5/24"),
    ("tailscale0", "100.100.1.5/24"),
]


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("host", ["8.8.4.4", "2a00:1450::1", "::ffff:8.8.4.4"])
def test_an_address_that_anybody_can_reach_is_probed(host: str, mode: str) -> None:
    assert may_probe(host, 50_000, mode)


@pytest.mark.parametrize("host", [*PRIVATE, MDNS])
def test_a_private_address_and_an_mdns_name_are_probed_on_the_local_network_alone(host: str) -> None:
    assert [mode for mode in MODES if may_probe(host, 50_000, mode)] == ["lan"]


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "::1",
        "0.0.0.0",  # noqa: S104  # an address to refuse, not to bind
        "169.254.7.7",
        "169.254.169.254",
        "100.100.100.200",
        "fe80::1",
        "fd00:ec2::254",
        "224.0.0.251",
        "ff02::fb",
        "255.255.255.255",
        "::ffff:127.0.0.1",
        "::ffff:169.254.169.254",
        "2002:7f00:0001::1",
        "64:ff9b::7f00:1",
        "localhost",
        "printer.example",
        "",
        "10.0.0.7; rm",
    ],
)
def test_no_other_host_is_probed(host: str, mode: str) -> None:
    assert not may_probe(host, 50_000, mode)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("port", [0, 9, 22, 1023, 65_536, -1])
def test_no_port_of_a_system_service_is_probed(port: int, mode: str) -> None:
    assert not may_probe("8.8.4.4", port, mode)


def test_of_ones_own_addresses_those_of_real_networks_are_used() -> None:
    assert reach(FOUND, []).own == ("192.168.1.5", "2a00:1450::5", "192.168.2.5")


@pytest.mark.parametrize(
    ("wanted", "chosen"),
    [
        (["wlan0"], ["192.168.2.5"]),
        (["eth*"], ["192.168.1.5", "2a00:1450::5"]),
        (["wg0"], ["10.8.0.5"]),
        (["192.168.0.0/16"], ["192.168.1.5", "192.168.2.5", "192.168.122.1"]),
        (["2000::/3", "wlan*"], ["2a00:1450::5", "192.168.2.5"]),
        (["lo", "fe80::/10", "169.254.0.0/16"], []),
        (["eth7"], []),
    ],
)
def test_interfaces_are_chosen_by_name_or_by_range(wanted: list[str], chosen: list[str]) -> None:
    assert list(reach(FOUND, wanted).own) == chosen


@pytest.mark.parametrize("host", ["172.17.0.9", "10.8.0.9", "::ffff:172.17.0.9"])
def test_where_only_an_interface_that_was_left_out_leads_nobody_is_probed(host: str) -> None:
    assert not reach(FOUND, []).allows(host)


@pytest.mark.parametrize("host", ["192.168.1.9", "8.8.4.4", "2a00:1450::9"])
def test_where_another_interface_leads_a_viewer_is_probed(host: str) -> None:
    assert reach(FOUND, []).allows(host)


def test_a_network_that_two_interfaces_lead_to_is_open_when_one_of_them_is() -> None:
    found = [("eth0", "192.168.1.5/24"), ("wlan0", "192.168.1.6/24")]

    assert reach(found, ["eth0"]).allows("192.168.1.9")

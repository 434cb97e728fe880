"""mosquitto's rules as text; tests/provisioning/test_brokers.py runs them."""

from __future__ import annotations

from pathlib import Path

from provisioning.broker import Listener, configuration, rules

LISTENER = Listener(
    port=8883,
    anchors=Path("/f/clients.pem"),
    certificate=Path("/f/server.pem"),
    key=Path("/f/server.pem"),
    crl=Path("/f/clients.crl"),
    rules=Path("/f/rules.acl"),
)


def test_patterns_are_for_devices_alone_and_sections_for_the_rest() -> None:
    text = rules(["recorder"])
    assert "pattern write camward/1/%u/status\n" in text
    assert "pattern read camward/1/%u/call\n" in text
    devices, gateway, recorder = text.split("\nuser ")
    assert "topic " not in devices
    assert "pattern" not in gateway + recorder
    assert "topic read camward/1/+/reply/gateway\n" in gateway
    assert "topic read camward/1/+/reply/recorder\n" in recorder


def test_every_pattern_stands_under_the_device_s_own_name() -> None:
    patterns = [line for line in rules([]).splitlines() if line.startswith("pattern")]
    assert patterns
    assert all(line.split()[2].startswith("camward/1/%u/") for line in patterns)


def test_without_apps_only_the_gateway_has_a_section() -> None:
    assert [line for line in rules([]).splitlines() if line.startswith("user")] == ["user gateway"]


def test_the_configuration_lets_in_certificates_and_nothing_else() -> None:
    lines = configuration(LISTENER).splitlines()
    for line in (
        "allow_anonymous false",
        "require_certificate true",
        "use_identity_as_username true",
        "use_username_as_clientid true",
        "crlfile /f/clients.crl",
        "persistence false",
        "listener 8883",
    ):
        assert line in lines
    assert not any(line.startswith(("user", "password_file", "capath")) for line in lines)

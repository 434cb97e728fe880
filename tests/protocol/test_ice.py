"""Servers as configurations name them, and credentials that end by themselves."""

from __future__ import annotations

import pytest

from protocol.errors import Malformed
from protocol.ice import Credential, Server, parse_server, short_lived


@pytest.mark.parametrize(
    ("url", "server"),
    [
        ("stun:stun.example", Server(relays=False, host="stun.example", port=3478, way="udp")),
        ("stun:192.0.2.7:3479", Server(relays=False, host="192.0.2.7", port=3479, way="udp")),
        ("turn:turn.example", Server(relays=True, host="turn.example", port=3478, way="udp")),
        ("turn:turn.example:80?transport=tcp", Server(relays=True, host="turn.example", port=80, way="tcp")),
        ("turn:[2001:db8::7]:3478?transport=udp", Server(relays=True, host="2001:db8::7", port=3478, way="udp")),
        ("turns:turn.example", Server(relays=True, host="turn.example", port=5349, way="tls")),
        ("turns:turn.example:443?transport=tcp", Server(relays=True, host="turn.example", port=443, way="tls")),
    ],
)
def test_a_server_is_read(url: str, server: Server) -> None:
    assert parse_server(url) == server


@pytest.mark.parametrize(
    "url",
    [
        "",
        "stun.example",
        "stuns:stun.example",
        "stun:",
        "stun:stun.example:0",
        "stun:stun.example:65536",
        "stun:stun.example?transport=udp",
        "turn:user@turn.example",
        "turn://turn.example",
        "turn:turn.example?transport=sctp",
        "turns:turn.example?transport=udp",
        "turn:2001:db8::7",
        "turn:turn.example\n",
    ],
)
def test_what_is_no_server_is_refused(url: str) -> None:
    with pytest.raises(Malformed):
        parse_server(url)


def test_a_short_lived_credential_is_the_one_that_coturn_works_out() -> None:
    # printf %s 1700000000:camward | openssl dgst -sha1 -hmac north -binary | base64
    assert short_lived("north", name="camward", until_s=1_700_000_000) == Credential(
        username="1700000000:camward", password="N0Kn5ZDs1W5zGB7dHo0kaL5JTH4="
    )


def test_a_password_does_not_show() -> None:
    assert "swordfish" not in repr(Credential(username="anna", password="swordfish"))

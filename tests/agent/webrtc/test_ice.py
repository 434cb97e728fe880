"""What a session tells its viewer of addresses, and when. Relays are in tests/e2e, with coturn."""

from __future__ import annotations

import asyncio
import re
import socket
from collections.abc import Iterator
from pathlib import Path

import aioice
import pytest
from aioice.mdns import MDnsProtocol
from aiortc import RTCPeerConnection

from agent.config import NetworkConfig
from agent.webrtc import ice
from agent.webrtc.ice import Gathering
from protocol.errors import Refused
from tests.kit.house import House

MDNS = "1 1 udp 2122260223 1f2e3d4c-aaaa-bbbb-cccc-1234567890ab.local 50000 typ host"


@pytest.fixture
def silent() -> Iterator[str]:
    """The URL of a STUN server that never answers."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", 0))
        yield f"stun:127.0.0.1:{server.getsockname()[1]}"


class Mirror(asyncio.DatagramProtocol):
    """A STUN server that sees everybody at one address."""

    def __init__(self, seen: tuple[str, int]) -> None:
        self._seen = seen

    def connection_made(self, transport: asyncio.DatagramTransport) -> None:  # type: ignore[override]
        self._transport = transport

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        request = aioice.stun.parse_message(data)
        response = aioice.stun.Message(
            message_method=request.message_method,
            message_class=aioice.stun.Class.RESPONSE,
            transaction_id=request.transaction_id,
            attributes={"XOR-MAPPED-ADDRESS": self._seen},
        )
        self._transport.sendto(bytes(response), addr)


async def ask(peer: RTCPeerConnection, mode: str, seen: tuple[str, int]) -> list[str]:
    """What a viewer is told of after the answer, where a STUN server sees this."""
    loop, found = asyncio.get_running_loop(), list[str]()
    server, _ = await loop.create_datagram_endpoint(lambda: Mirror(seen), local_addr=("0.0.0.0", 0))  # noqa: S104  # any
    port = server.get_extra_info("sockname")[1]
    gathered, connection = gathering(peer, NetworkConfig(addresses=mode, stun=(f"stun:127.0.0.1:{port}",)))
    await connection.gather_candidates()
    try:
        await gathered.ask(found.append)
    finally:
        server.close()
    return found


async def test_how_the_camera_is_seen_from_outside_is_offered_and_nothing_of_what_lies_beneath(
    peer: RTCPeerConnection,
) -> None:
    found = await ask(peer, "direct", ("8.8.4.4", 5000))

    assert found[-1] == ""
    assert {re.sub(r"^candidate:\d+ 1 udp \d+ ", "", candidate) for candidate in found[:-1]} == {
        "8.8.4.4 5000 typ srflx raddr 0.0.0.0 rport 9"
    }


@pytest.mark.parametrize("seen", ["192.168.1.7", "100.64.0.7"])
async def test_a_private_address_is_not_offered_in_direct_even_where_a_stun_server_sees_it(
    peer: RTCPeerConnection, seen: str, caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(Refused, match="no address") as refusal:
        await ask(peer, "direct", (seen, 5000))

    assert refusal.value.reason == "no-candidate"
    assert "it sees a private address" in caplog.text


async def test_the_answer_and_the_picture_wait_for_no_server(house: House, silent: str) -> None:
    call = await house.call("a", network=NetworkConfig(stun=(silent,)))
    await call.watcher.accept(await call.answer)
    await call.watcher.see(3)

    await call.until(lambda: bool(call.found))
    assert call.found == [""]
    assert "a=ice-options:trickle\r\n" in await call.answer
    assert "a=end-of-candidates" not in await call.answer


async def test_without_servers_the_answer_has_all_candidates_and_says_so(house: House) -> None:
    call = await house.watch("a")

    assert " typ host" in await call.answer
    assert "a=end-of-candidates\r\n" in await call.answer
    assert call.found == []


async def test_a_foundation_says_nothing_of_the_address_beneath(house: House) -> None:
    call = await house.watch("a")

    assert set(re.findall(r"a=candidate:(\S+)", await call.answer)) <= {str(number) for number in range(1, 20)}


async def test_a_camera_that_finds_no_address_says_so_to_its_viewer(house: House) -> None:
    call = await house.call("a", network=NetworkConfig(interfaces=("192.0.2.64/32",)))

    assert await call.ended == "no-candidate"


async def test_a_credential_that_cannot_be_read_is_no_reason_to_be_silent(house: House, tmp_path: Path) -> None:
    settings = NetworkConfig(addresses="relay", turn=("turn:127.0.0.1",), turn_credential=tmp_path / "none.toml")

    call = await house.call("a", network=settings)

    assert await call.ended == "no-candidate"


def gathering(peer: RTCPeerConnection, settings: NetworkConfig) -> tuple[Gathering, aioice.Connection]:
    transport = peer.addTransceiver("video", direction="sendonly").sender.transport
    return Gathering(settings, transport, lambda host, port: None), transport.transport._connection


async def test_a_name_that_stands_for_an_address_not_to_be_probed_leads_nowhere(
    peer: RTCPeerConnection, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, connection = gathering(peer, NetworkConfig())
    answers = iter(["127.0.0.1", "169.254.169.254", "192.168.1.7"])

    async def resolve(self: MDnsProtocol, hostname: str) -> str:
        return next(answers)

    monkeypatch.setattr(MDnsProtocol, "resolve", resolve)
    for _ in range(3):
        await connection.add_remote_candidate(aioice.Candidate.from_sdp(MDNS))

    assert [candidate._network_host for candidate in connection.remote_candidates] == ["192.168.1.7"]


@pytest.mark.parametrize(("mode", "opened"), [("lan", True), ("direct", True), ("relay", False)])
async def test_in_relay_there_is_no_socket_that_a_check_could_leave_from(
    peer: RTCPeerConnection, tmp_path: Path, mode: str, opened: bool
) -> None:
    settings = NetworkConfig(addresses=mode, turn=("turn:127.0.0.1",), turn_credential=tmp_path / "turn.toml")
    gathered, connection = gathering(peer, settings)

    await connection.gather_candidates()

    assert bool(connection._protocols) is opened
    assert bool(gathered.found) is (mode == "lan")


async def test_without_any_address_the_refusal_is_one_that_a_viewer_reads(
    peer: RTCPeerConnection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ice, "_ANSWER_S", 0.1)
    with socket.create_server(("127.0.0.1", 0)) as server:  # takes a connection, and says nothing
        url = f"turn:127.0.0.1:{server.getsockname()[1]}?transport=tcp"
        credential = tmp_path / "turn.toml"
        credential.write_text('secret = "north"')
        gathered, _ = gathering(peer, NetworkConfig(addresses="relay", turn=(url,), turn_credential=credential))

        with pytest.raises(Refused) as refusal:
            await gathered.ask(lambda candidate: pytest.fail("there is none"))

    assert refusal.value.reason == "no-candidate"

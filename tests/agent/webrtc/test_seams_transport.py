"""What seams/ stands on in the transports of aiortc and aioice: when a release moves it, this says what."""

from __future__ import annotations

import asyncio
import inspect
import socket
from types import SimpleNamespace

import aioice.ice
import aioice.turn
import pylibsrtp
import pytest
from aioice import ice, stun
from aioice.ice import Connection
from aiortc import (
    RTCDtlsTransport,
    RTCIceGatherer,
    RTCIceTransport,
    RTCPeerConnection,
    RTCRtpTransceiver,
    RTCSctpTransport,
)
from aiortc.rtcdtlstransport import State
from aiortc.rtcsctptransport import InboundStream

from agent.webrtc.inbox import Inbox
from agent.webrtc.seams import channel, dtls, gathering, paths, sockets
from tests.kit.arrivals import until
from tests.kit.foundations import moved, takes
from tests.kit.house import House


@pytest.mark.parametrize("name", ["_tx_srtp", "_rx_srtp", "_ssl", "_role"])
def test_a_dtls_transport_keeps_its_sessions_where_the_seam_reads_them(
    transceiver: RTCRtpTransceiver, name: str
) -> None:
    assert name in vars(transceiver.sender.transport), moved(f"RTCDtlsTransport.{name}")


async def test_once_dtls_stands_a_transport_has_srtp_sessions_both_ways(house: House) -> None:
    await house.watch("a")

    out = house.session("a").egress._out
    assert out is not None
    for name in ("_tx_srtp", "_rx_srtp"):
        assert isinstance(getattr(out.transport, name), pylibsrtp.Session), moved(f"RTCDtlsTransport.{name}")


def test_the_role_in_dtls_is_set_where_the_seam_sets_it(transceiver: RTCRtpTransceiver) -> None:
    transport = transceiver.sender.transport
    assert hasattr(transport, "_set_role"), moved("RTCDtlsTransport._set_role()")

    dtls.answer_passively(transport)

    assert transport._role == "server", moved("RTCDtlsTransport._role")


def test_an_ice_transport_has_its_connection_where_the_seam_takes_it(transceiver: RTCRtpTransceiver) -> None:
    ice = transceiver.sender.transport.transport

    assert isinstance(ice, RTCIceTransport)
    assert isinstance(getattr(ice, "_connection", None), aioice.Connection), moved("RTCIceTransport._connection")


def test_aioice_hands_what_arrives_to_the_method_that_the_seam_replaces() -> None:
    method = getattr(aioice.Connection, dtls.DATA_RECEIVED, None)
    assert method is not None, moved(f"aioice.Connection.{dtls.DATA_RECEIVED}")

    assert takes(method) == ["self", "data", "component"]
    assert not hasattr(aioice.Connection, "__slots__"), "a method of aioice.Connection cannot be replaced any more"


async def test_reports_are_taken_at_once_and_all_else_goes_aiortcs_way(transceiver: RTCRtpTransceiver) -> None:
    transport, taken = transceiver.sender.transport, list[bytes]()
    connection = transport.transport._connection
    dtls.on_rtcp(transport, taken.append, lambda session: None)

    for data in (b"\x81\xcereport", b"\x80", b"\x80\xc8", b"\x80\x60" + bytes(30), b"\x16\xfe\xfddtls", b""):
        connection.data_received(data, 1)

    assert taken == [b"\x81\xcereport", b"\x80\xc8"]
    queue = connection._queue
    assert [queue.get_nowait()[0] for _ in range(queue.qsize())] == [b"\x16\xfe\xfddtls", b""]


def test_what_unprotects_reports_is_told_as_soon_as_dtls_stands(transceiver: RTCRtpTransceiver) -> None:
    assert "self._setup_srtp()" in inspect.getsource(RTCDtlsTransport.start).split("State.CONNECTED")[0]
    transport, begun = transceiver.sender.transport, list[object]()
    dtls.on_rtcp(transport, lambda data: None, begun.append)
    transport._rx_srtp = session = pylibsrtp.Session()

    transport._set_state(State.CONNECTING)
    assert begun == []
    transport._set_state(State.CONNECTED)
    assert begun == [session], moved("the event statechange of RTCDtlsTransport")
    transport._set_state(State.CLOSED)
    assert begun == [session]


async def test_the_nominated_pair_says_its_socket_and_its_peer(house: House) -> None:
    call = await house.watch("a")
    out = house.session("a").egress._out
    assert out is not None
    connection = out.transport.transport._connection
    assert isinstance(getattr(connection, "_nominated", None), dict), moved("aioice.Connection._nominated")

    pair = paths.nominated(out.transport)[1]

    assert isinstance(pair, aioice.ice.CandidatePair), moved("the pair of component 1")
    (receiver,) = call.watcher.peer.getReceivers()
    theirs = paths.nominated(receiver.transport)[1]
    assert pair.remote_addr[1] == theirs.protocol.transport.get_extra_info("sockname")[1]
    inbox = Inbox()
    path = paths.path(pair, inbox)
    assert path.way == "gso"
    path.close()
    assert pair.protocol.transport.get_extra_info("socket").fileno() >= 0, "the path closed aioice's own socket"


def test_before_ice_has_a_path_there_is_no_nominated_pair(transceiver: RTCRtpTransceiver) -> None:
    assert paths.nominated(transceiver.sender.transport) == {}


async def test_a_relay_over_tcp_that_does_not_keep_up_takes_no_more() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:  # takes a connection, and reads nothing
        client = aioice.turn.TurnClientTcpProtocol(server.getsockname(), "anna", "swordfish", 600, 500)
        await asyncio.get_running_loop().create_connection(lambda: client, *server.getsockname())
        transport = aioice.turn.TurnTransport(client)
        assert getattr(transport, paths.TURN_CLIENT) is client, moved(f"TurnTransport.{paths.TURN_CLIENT}")
        send = paths.relay(transport)

        client.peer_to_channel["8.8.4.4", 5000] = 0x4000
        client.channel_refresh_at[0x4000] = float("inf")
        for _ in range(10):
            send(bytes(1000), ("8.8.4.4", 5000))
        client.transport.write(bytes(64 * 1024 * 1024))
        with pytest.raises(BlockingIOError):
            send(bytes(1000), ("8.8.4.4", 5000))
        client.transport.abort()


def test_a_relayed_transport_has_no_socket_and_is_sent_through() -> None:
    transport = aioice.turn.TurnTransport(None)  # type: ignore[arg-type]  # what it says needs no server

    assert transport.get_extra_info("socket") is None, "aioice's relay names a socket now, which is not the viewer's"
    assert takes(transport.sendto) == ["data", "addr"]


async def test_while_a_path_is_open_its_inbox_reads_the_socket_and_then_asyncio_again(unused_udp_port: int) -> None:
    loop, inbox, heard = asyncio.get_running_loop(), Inbox(), list[bytes]()

    class Protocol(asyncio.DatagramProtocol):
        transport: asyncio.DatagramTransport

        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            self.transport = transport  # type: ignore[assignment]

        def datagram_received(self, data: bytes, addr: object) -> None:
            heard.append(data)

    transport, protocol = await loop.create_datagram_endpoint(Protocol, ("127.0.0.1", unused_udp_port))
    pair = SimpleNamespace(protocol=protocol, remote_addr=("127.0.0.1", 9))
    await asyncio.sleep(0)
    for name in (paths.REMOVE_READER, paths.ADD_READER):
        assert hasattr(loop, name), moved(f"the event loop's {name}()")
    assert hasattr(transport, paths.READ_READY), moved(f"a datagram transport's {paths.READ_READY}()")

    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as viewer:
        path = paths.path(pair, inbox)  # type: ignore[arg-type]
        viewer.sendto(b"with a picture", ("127.0.0.1", unused_udp_port))
        await asyncio.sleep(0.01)
        assert heard == [], moved("what asyncio reads a socket with")
        inbox.read()
        assert heard == [b"with a picture"]

        path.close()
        viewer.sendto(b"at once", ("127.0.0.1", unused_udp_port))
        await until(lambda: heard == [b"with a picture", b"at once"])
    transport.close()


def test_the_sctp_of_aiortc_keeps_what_arrives_where_the_seam_looks_for_it() -> None:
    source = inspect.getsource(RTCSctpTransport)

    for name in ("self._advertised_rwnd -= len", "self._inbound_streams", "self._sack_misordered"):
        assert name in source, moved(name)
    assert vars(InboundStream()).get("reassembly") == [], moved("InboundStream.reassembly")
    assert f"self._data_receiver.{channel.HANDLE_DATA}(data)" in inspect.getsource(RTCDtlsTransport._recv_next)


def test_consent_is_lost_within_thirty_seconds() -> None:
    """RFC 7675, section 5.1. aioice reads both figures anew at each check."""
    source = inspect.getsource(Connection.query_consent)
    for name in ("CONSENT_FAILURES", "CONSENT_INTERVAL * (0.8 + 0.4 * random.random())", "retransmissions=0"):
        assert name in source, moved(name)

    longest_s = ice.CONSENT_FAILURES * (1.2 * ice.CONSENT_INTERVAL + stun.RETRY_RTO)

    assert ice.CONSENT_FAILURES == sockets.CONSENT_FAILURES
    assert longest_s <= 30


async def test_a_viewer_who_vanishes_without_a_word_is_let_go(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ice, "CONSENT_INTERVAL", 0.2)
    call = await house.watch("a")

    for protocol in call.watcher.peer.getTransceivers()[0].receiver.transport.transport._connection._protocols:
        protocol.transport.abort()

    async with asyncio.timeout(20):
        assert await call.ended in {"left", "failed"}


def test_aiortc_gathers_by_the_method_that_the_seam_replaces() -> None:
    assert takes(getattr(aioice.Connection, gathering.GATHER)) == ["self"], moved(
        f"aioice.Connection.{gathering.GATHER}"
    )
    assert f"._connection.{gathering.GATHER}()" in inspect.getsource(RTCIceGatherer.gather), moved(
        "the call in gather()"
    )


def test_aioice_learns_of_candidates_by_the_method_that_the_seam_replaces() -> None:
    added = getattr(aioice.Connection, gathering.ADD_CANDIDATE, None)
    assert added is not None, moved(f"aioice.Connection.{gathering.ADD_CANDIDATE}")

    assert takes(added) == ["self", "remote_candidate", "network_host"]
    assert inspect.getsource(aioice.Connection.add_remote_candidate).count(f"self.{gathering.ADD_CANDIDATE}(") == 2


def test_aioice_keeps_its_sockets_and_candidates_where_the_seam_adds_to_them(transceiver: RTCRtpTransceiver) -> None:
    connection = transceiver.sender.transport.transport._connection

    for name in ("_protocols", "_local_candidates", "_remote_candidates"):
        assert getattr(connection, name, None) == [], moved(f"aioice.Connection.{name}")
    assert connection._local_candidates_end is False, moved("aioice.Connection._local_candidates_end")
    assert "self._local_candidates_end" in inspect.getsource(aioice.Connection.connect)
    assert takes(aioice.Connection._pair_remote_candidate) == ["self", "remote_candidate"]
    assert "self._find_pair(" in inspect.getsource(aioice.Connection._pair_remote_candidate), "it may pair twice now"


def test_aiortc_begins_ice_by_the_method_that_the_seam_calls_where_there_is_a_candidate() -> None:
    connect = getattr(RTCPeerConnection, gathering.CONNECT, None)
    assert connect is not None, moved(f"RTCPeerConnection.{gathering.CONNECT}")

    assert inspect.iscoroutinefunction(connect)
    assert "iceGatherer.getLocalCandidates()" in inspect.getsource(connect), moved("the condition in __connect()")


def test_aioice_makes_a_relay_as_the_gathering_asks_for_it() -> None:
    assert {"protocol_factory", "server_addr", "username", "password", "ssl", "transport"} <= set(
        takes(aioice.turn.create_turn_endpoint)
    )

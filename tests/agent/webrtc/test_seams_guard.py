"""What the guard's seam stands on in aioice, and DTLS's in aiortc: when a release moves it, this says what."""

from __future__ import annotations

import inspect
from asyncio import selector_events
from types import ModuleType

import aioice
import pytest
from aioice import ice, stun, turn
from aioice.ice import CandidatePair, Connection, StunProtocol
from aiortc import RTCDtlsTransport, RTCRtpTransceiver
from aiortc.rtp import RTCP_PSFB_PLI, RtcpPsfbPacket
from OpenSSL import SSL

from agent.media.stream import Stream
from agent.webrtc.guard import MAX_BYTES, MAX_QUEUED, Drops, Guard, is_report
from agent.webrtc.seams import dtls, paths, sockets
from tests.kit.foundations import moved, takes
from tests.kit.hostile_datagrams import raw_stun, request
from tests.kit.house import House

VIEWER = ("192.0.2.1", 5000)


def guarded(transceiver: RTCRtpTransceiver) -> tuple[Connection, Guard, sockets.GuardedSocket]:
    """A connection with a guard, and a socket of it that is not open."""
    guard = Guard(Drops(), lambda host, port: True)
    sockets.put_guard(transceiver.sender.transport, guard)
    connection = transceiver.sender.transport.transport._connection
    sock = sockets.GuardedSocket(connection)
    sock.local_candidate = aioice.Candidate.from_sdp("1 1 udp 1 192.0.2.7 4000 typ host")
    return connection, guard, sock


def test_a_connection_makes_its_sockets_by_the_name_that_the_seam_replaces() -> None:
    assert getattr(ice, sockets.SOCKET, None) is sockets.GuardedSocket
    source = inspect.getsource(Connection.get_component_candidates)
    assert source.count(f"{sockets.SOCKET}(self)") == 2, moved(f"{sockets.SOCKET}(self) in aioice.ice")
    assert takes(StunProtocol.__init__) == ["self", "receiver"]
    assert takes(StunProtocol.datagram_received) == ["self", "data", "addr"]


async def test_every_socket_of_a_session_is_guarded_from_its_beginning(house: House) -> None:
    await house.watch("a")
    out = house.session("a").egress._out
    assert out is not None
    heard_by = out.transport.transport._connection._protocols

    assert heard_by
    for sock in heard_by:
        assert isinstance(sock, sockets.GuardedSocket)
        assert sock._guard is house.session("a").guard
        assert getattr(sock.transport, sockets.MAX_SIZE) == sockets.RECEIVE_BYTES


async def test_a_connection_without_a_guard_is_aioices_own() -> None:
    sock = sockets.GuardedSocket(connection := Connection(ice_controlling=True))
    sock.local_candidate = aioice.Candidate.from_sdp("1 1 udp 1 192.0.2.7 4000 typ host")

    sock.datagram_received(b"\x16data", VIEWER)

    assert connection._queue.get_nowait() == (b"\x16data", 1)


def test_asyncio_hands_datagrams_to_the_method_that_the_seam_replaces() -> None:
    source = inspect.getsource(selector_events._SelectorDatagramTransport._read_ready)

    assert "self._protocol.datagram_received(data, addr)" in source


def test_a_pair_tells_of_its_success_by_the_method_that_the_seam_replaces() -> None:
    assert takes(Connection.check_state) == ["self", "pair", "state"], moved(f"Connection.{sockets.CHECK_STATE}()")
    assert "self.check_state(pair, CandidatePair.State.SUCCEEDED)" in inspect.getsource(Connection.check_start)
    set_elsewhere = [
        line for line in inspect.getsource(ice).splitlines() if ".state = " in line and "State.SUCCEEDED" in line
    ]
    assert not set_elsewhere, moved("the one place where a pair's state is set")


async def test_data_passes_once_its_pair_has_succeeded_and_what_was_early_with_it(
    transceiver: RTCRtpTransceiver,
) -> None:
    connection, guard, sock = guarded(transceiver)
    remote = aioice.Candidate.from_sdp("1 1 udp 1 192.0.2.1 5000 typ host")
    remote._network_host = "192.0.2.1"
    pair = CandidatePair(sock, remote)
    check = request(f"{connection.local_username}:x", connection.local_password)
    sent: list[stun.Message] = []
    sock.send_stun = lambda message, addr: sent.append(message)  # type: ignore[method-assign]

    sock.datagram_received(check, VIEWER)
    sock.datagram_received(b"\x16early", VIEWER)
    assert connection._queue.empty()
    connection.check_state(pair, CandidatePair.State.IN_PROGRESS)
    assert connection._queue.empty()
    connection.check_state(pair, CandidatePair.State.SUCCEEDED)
    sock.datagram_received(b"\x16late", (*VIEWER, 0, 0))  # as IPv6 says addresses

    assert [message.message_class for message in sent] == [stun.Class.RESPONSE]
    assert [connection._queue.get_nowait() for _ in range(2)] == [(b"\x16early", 1), (b"\x16late", 1)]
    assert guard.account() == ""


async def test_reports_over_the_nominated_pair_take_a_shortcut_and_no_others_can(
    house: House, stream: Stream, monkeypatch: pytest.MonkeyPatch
) -> None:
    guarded, receive = list[bytes](), sockets.GuardedSocket.datagram_received

    def receives(sock: sockets.GuardedSocket, data: bytes, addr: tuple[str, int]) -> None:
        if is_report(data):
            guarded.append(data)
        receive(sock, data, addr)

    monkeypatch.setattr(sockets.GuardedSocket, "datagram_received", receives)
    call = await house.watch("a")
    out, drops = house.session("a").egress._out, house.session("a").guard.drops
    assert out is not None
    guarded.clear()

    await call.watcher.report(RtcpPsfbPacket(fmt=RTCP_PSFB_PLI, ssrc=1, media_ssrc=call.watcher.ssrc))
    await call.until(lambda: stream.keyframe_causes["pli"] == 1)
    assert guarded == []

    pair = paths.nominated(out.transport)[1]
    take, (host, port) = pair.protocol.shortcut(pair.remote_addr), pair.remote_addr
    take(b"\x80\xc8forged", (host, port))
    assert (guarded, drops.counts()) == ([], {"forged": 1})
    others = [(b"\x80\xc8" + bytes(MAX_BYTES), port), (b"\x80\xc8stranger", port ^ 1)]
    for data, other in others:
        take(data, (host, other))
    assert guarded == [data for data, _ in others]
    assert drops.counts() == {"forged": 1, "over-long": 1, "stranger": 1}


def test_a_socket_whose_reports_nobody_takes_has_no_shortcut(transceiver: RTCRtpTransceiver) -> None:
    _, guard, sock = guarded(transceiver)
    guard.succeeded((sock.id, *VIEWER))

    assert sock.shortcut(VIEWER) == sock.datagram_received


async def test_a_check_that_a_nomination_cut_off_begins_again_where_the_viewer_may_have_chosen_that_pair(
    transceiver: RTCRtpTransceiver,
) -> None:
    assert "check.task.cancel()" in inspect.getsource(Connection.connect), "aioice does not cut off checks any more"
    connection, _, sock = guarded(transceiver)
    sock.send_stun = lambda message, addr: None  # type: ignore[method-assign]
    pairs = []
    for port in (5000, 5001):
        remote = aioice.Candidate.from_sdp(f"1 1 udp 1 192.0.2.1 {port} typ host")
        remote._network_host = "192.0.2.1"
        pairs.append(CandidatePair(sock, remote))
        pairs[-1].state = CandidatePair.State.IN_PROGRESS
    connection._check_list += pairs
    connection._remote_candidates += [pair.remote_candidate for pair in pairs]
    started: list[CandidatePair] = []
    connection.check_start_task = started.append  # type: ignore[method-assign]
    sock.datagram_received(request(f"{connection.local_username}:x", connection.local_password), VIEWER)

    transceiver.sender.transport.transport._RTCIceTransport__setState("completed")

    assert started == pairs[:1]
    sock.datagram_received(request(f"{connection.local_username}:x", connection.local_password), ("192.0.2.1", 5001))
    connection.check_incoming(*connection._early_checks[-1])
    assert started == pairs


async def test_what_waits_for_dtls_is_bounded(transceiver: RTCRtpTransceiver) -> None:
    connection, guard, _ = guarded(transceiver)

    for _ in range(MAX_QUEUED + 3):
        connection.data_received(b"\x16data", 1)

    assert connection._queue.qsize() == MAX_QUEUED
    assert guard.drops.overflow == 3


@pytest.mark.parametrize(
    "attribute", [(0x24, b"\0"), (0x802A, b""), (0x802A, b"\0"), (0x20, b"\0"), (0x8022, b"\xff\xfe"), (9, b"\0")]
)
async def test_a_proven_check_that_aioice_cannot_read_is_malformed(
    transceiver: RTCRtpTransceiver, attribute: tuple[int, bytes]
) -> None:
    connection, guard, sock = guarded(transceiver)
    user = f"{connection.local_username}:x".encode()
    bare = raw_stun((6, user), (0x24, bytes(4)), attribute)
    unsealed = bare[:2] + (len(bare) + 4).to_bytes(2) + bare[4:]
    seal = stun.message_integrity(bare, connection.local_password.encode())
    check = unsealed + b"\0\x08\0\x14" + seal

    sock.datagram_received(check, VIEWER)

    assert guard.account() == "malformed 1"


@pytest.mark.parametrize("module", [ice, turn])
def test_whoever_reads_stun_takes_a_bad_attribute_for_a_bad_message(module: ModuleType) -> None:
    assert f"stun.{sockets.PARSE}(data)\n" in inspect.getsource(module), moved(f"stun.{sockets.PARSE}() in aioice")
    assert getattr(stun, sockets.PARSE) is sockets.parse_stun

    with pytest.raises(ValueError, match="attribute of the wrong length"):
        stun.parse_message(raw_stun((0x24, b"\0")))


async def test_a_response_is_matched_by_the_transactions_that_the_seam_reads(transceiver: RTCRtpTransceiver) -> None:
    _, guard, sock = guarded(transceiver)
    taken: list[tuple[stun.Message, tuple[str, int]]] = []

    class Waiting:
        def response_received(self, message: stun.Message, addr: tuple[str, int]) -> None:
            taken.append((message, addr))

    assert takes(stun.Transaction.response_received) == ["self", "message", "addr"]
    sock.transactions[b"transaction!"] = Waiting()  # type: ignore[assignment]
    sock.datagram_received(raw_stun(what=0x0101), VIEWER)
    sock.datagram_received(raw_stun((0x24, b"\0"), what=0x0101), VIEWER)
    sock.transactions.clear()
    sock.datagram_received(raw_stun(what=0x0101), VIEWER)

    assert [addr for _, addr in taken] == [VIEWER]
    assert guard.account() == "malformed 1, unasked 1"


def test_aioice_says_its_names_and_password_where_the_seam_reads_them(transceiver: RTCRtpTransceiver) -> None:
    connection = transceiver.sender.transport.transport._connection

    assert connection.local_username
    assert connection.local_password
    assert connection.remote_username is None
    assert takes(Connection.request_received) == ["self", "message", "addr", "protocol"]


def test_dtls_is_written_by_the_method_that_the_seam_replaces(transceiver: RTCRtpTransceiver) -> None:
    assert takes(RTCDtlsTransport._write_ssl) == ["self"], moved(f"RTCDtlsTransport.{dtls.WRITE_SSL}()")
    for method in (RTCDtlsTransport._do_handshake, RTCDtlsTransport._recv_next, RTCDtlsTransport.stop):
        assert "await self._write_ssl()" in inspect.getsource(method)
    assert hasattr(transceiver.sender.transport.transport, "_send"), moved("RTCIceTransport._send")


def test_openssl_says_that_no_more_is_to_be_written_by_an_error(transceiver: RTCRtpTransceiver) -> None:
    connection = SSL.Connection(SSL.Context(SSL.DTLS_METHOD))

    with pytest.raises(SSL.Error):
        connection.bio_read(100)

"""Who may bring a session over to another connection, and what is said to whoever comes too late."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest

from agent.signaling.calls import Answered, Calls, Found
from agent.signaling.gate import Call, Gate
from agent.signaling.limits import MOVES_OF_A_VIEWER
from protocol import jws
from protocol.errors import Refused
from protocol.messages import Answer, Bye, Candidate, Move, Renew
from protocol.names import Role, device_id
from tests.kit.caller import Caller, Signer, TrustTree

DEVICE = device_id(bytes(16))


@dataclass
class Desk:
    """The calls of a device, whose sessions are a list of what they were asked for."""

    authoriser: Signer
    gate: Gate
    said: list[tuple[str, Answer | Candidate | Bye]] = field(default_factory=list)
    moved: list[tuple[str, str]] = field(default_factory=list)
    ended: dict[str, Callable[[str], None]] = field(default_factory=dict)
    refusal: Refused | None = None

    def __post_init__(self) -> None:
        self.calls = Calls(
            device=DEVICE,
            gate=self.gate,
            open=self._open,
            move=self._move,
            sessions=self,
            say=lambda who, what: self.said.append((who, what)),
        )

    def caller(self) -> Caller:
        return Caller(device=DEVICE, authoriser=self.authoriser, reply="phone")

    def call(self, caller: Caller) -> str:
        """Open a session of this caller; gives its sid."""
        offer = caller.offer(challenge=self.gate.challenge, grant=caller.grant(time.time()))
        self.calls.receive(offer.encode())
        return str(jws.peek(offer).payload["sid"])

    def renew(self, sid: str, life_s: float, scope: frozenset[str]) -> None:
        pass

    def add_candidate(self, sid: str, candidate: str) -> None:
        raise AssertionError

    def end(self, sid: str, reason: str) -> None:
        self.ended[sid](reason)

    def revoke(self, subject: str) -> None:
        raise AssertionError

    def _open(self, call: Call, answered: Answered, found: Found, ended: Callable[[str], None]) -> None:
        answered("v=0")
        self.ended[call.offer.sid] = ended

    def _move(self, sid: str, offer: str, answered: Answered, found: Found) -> None:
        if self.refusal is not None:
            raise self.refusal
        self.moved.append((sid, offer))
        answered("v=1")
        found("candidate:1 1 udp 1 8.8.4.4 5000 typ srflx", "0")


@pytest.fixture(scope="module")
def tree() -> TrustTree:
    return TrustTree()


@pytest.fixture
def desk(tree: TrustTree) -> Desk:
    gate = Gate(device=DEVICE, root=tree.root, now=time.time(), random=secrets.token_bytes)
    return Desk(tree.leaf(Role.AUTHORISER, "fleet"), gate)


def test_the_viewer_of_a_session_moves_it_and_gets_an_answer_to_that_very_offer(desk: Desk) -> None:
    caller = desk.caller()
    sid = desk.call(caller)
    move = caller.sign(Move(sid=sid, seq=1, sdp="v=7"))

    desk.calls.receive(move.encode())

    assert desk.moved == [(sid, "v=7")]
    (who, answer), (_, candidate) = desk.said[-2:]
    assert isinstance(answer, Answer)
    assert isinstance(candidate, Candidate)
    assert (who, answer.sid, answer.sdp, candidate.sid) == ("phone", sid, "v=1", sid)
    assert answer.offer_sha256 == jws.sha256(move)


def test_no_other_key_moves_it_and_none_hears_of_that(desk: Desk) -> None:
    sid = desk.call(desk.caller())
    stranger = desk.caller()
    desk.call(stranger)
    before = len(desk.said)

    desk.calls.receive(stranger.sign(Move(sid=sid, seq=1, sdp="v=7")).encode())

    assert desk.moved == []
    assert len(desk.said) == before
    assert desk.calls.refused["untrusted"] == 1


def test_a_move_is_taken_once_and_none_from_before_it(desk: Desk) -> None:
    caller = desk.caller()
    sid = desk.call(caller)
    move = caller.sign(Move(sid=sid, seq=5, sdp="v=7"))

    for message in (move, move, caller.sign(Move(sid=sid, seq=4, sdp="v=7"))):
        desk.calls.receive(message.encode())

    assert len(desk.moved) == 1
    assert desk.calls.refused["repeated"] == 2  # which was seen before any signature was looked at


def test_a_move_that_was_changed_on_its_way_moves_nothing(desk: Desk) -> None:
    caller = desk.caller()
    sid = desk.call(caller)
    header, _, signature = caller.sign(Move(sid=sid, seq=1, sdp="v=7")).split(".")
    payload = caller.sign(Move(sid=sid, seq=1, sdp="v=8")).split(".")[1]

    desk.calls.receive(f"{header}.{payload}.{signature}".encode())

    assert desk.moved == []
    assert desk.calls.refused["badsignature"] == 1


def test_whoever_moves_in_a_session_that_has_ended_is_told_why_it_did(desk: Desk) -> None:
    caller = desk.caller()
    sid = desk.call(caller)
    desk.end(sid, "revoked")

    desk.calls.receive(caller.sign(Move(sid=sid, seq=1, sdp="v=7")).encode())

    assert desk.moved == []
    first, again = (what for _, what in desk.said[-2:])
    assert isinstance(first, Bye)
    assert isinstance(again, Bye)
    assert (again.sid, again.reason) == (sid, "revoked")
    assert again.seq > first.seq


def test_of_a_session_that_never_was_nothing_is_said(desk: Desk) -> None:
    desk.calls.receive(desk.caller().sign(Move(sid="A" * 22, seq=1, sdp="v=7")).encode())

    assert desk.said == []
    assert desk.calls.refused["late"] == 1


def test_an_offer_that_cannot_be_answered_ends_nothing(desk: Desk) -> None:
    caller = desk.caller()
    sid = desk.call(caller)
    desk.refusal = Refused("codec", "no H.264")
    before = len(desk.said)

    desk.calls.receive(caller.sign(Move(sid=sid, seq=1, sdp="v=7")).encode())

    assert len(desk.said) == before
    assert desk.calls.refused["codec"] == 1


def test_a_viewer_moves_only_so_often_and_its_other_messages_go_on(desk: Desk) -> None:
    caller = desk.caller()
    sid = desk.call(caller)

    for seq in range(2 * MOVES_OF_A_VIEWER.burst):
        desk.calls.receive(caller.sign(Move(sid=sid, seq=seq, sdp="v=7")).encode())

    assert MOVES_OF_A_VIEWER.burst <= len(desk.moved) < 2 * MOVES_OF_A_VIEWER.burst
    assert desk.calls.refused["overloaded"] > 0
    desk.calls.receive(caller.sign(Bye(sid=sid, seq=1000, reason="left")).encode())
    assert isinstance(desk.said[-1][1], Bye)


def test_an_answer_to_a_move_says_how_long_the_session_lasts_under_its_newest_grant(desk: Desk) -> None:
    caller = desk.caller()
    sid = desk.call(caller)
    fresh = caller.grant(time.time(), session_s=60)
    desk.calls.receive(caller.sign(Renew(sid=sid, seq=1, grant=fresh)).encode())

    desk.calls.receive(caller.sign(Move(sid=sid, seq=2, sdp="v=7")).encode())

    answer = desk.said[-2][1]
    assert isinstance(answer, Answer)
    assert answer.session_s == 60

"""What a camera says after its answer: candidates and a bye, numbered so that nobody can reorder or repeat them."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable

from agent.signaling.calls import Calls
from agent.signaling.gate import Call, Gate
from protocol.messages import Answer, Bye, Candidate
from protocol.names import Role, device_id
from tests.kit.caller import Caller, TrustTree

DEVICE = device_id(bytes(16))


class Nobody:
    """Sessions of which none is open."""

    def add_candidate(self, sid: str, candidate: str) -> None:
        raise AssertionError

    def end(self, sid: str, reason: str) -> None:
        raise AssertionError


def test_candidates_follow_the_answer_under_numbers_that_rise_for_each_call_and_the_bye_comes_last() -> None:
    tree, said = TrustTree(), list[tuple[str, Answer | Candidate | Bye]]()
    gate = Gate(device=DEVICE, root=tree.root, now=time.time(), random=secrets.token_bytes)
    caller = Caller(device=DEVICE, authoriser=tree.leaf(Role.AUTHORISER, "fleet"), reply="phone")

    def serve(
        call: Call,
        answered: Callable[[str], None],
        found: Callable[[str, str], None],
        ended: Callable[[str], None],
    ) -> None:
        answered("v=0")
        found("candidate:1 1 udp 1 8.8.4.4 5000 typ srflx", "0")
        found("", "0")
        ended("left")

    calls = Calls(
        device=DEVICE,
        gate=gate,
        open=serve,
        move=lambda *_: None,
        sessions=Nobody(),
        say=lambda who, what: said.append((who, what)),
    )
    for _ in range(2):
        calls.receive(caller.offer(challenge=gate.challenge, grant=caller.grant(time.time())).encode())

    for (to, answer), *followed in (said[:4], said[4:]):
        assert isinstance(answer, Answer)
        assert {who for who, _ in followed} == {to} == {"phone"}
        candidate, last, bye = (what for _, what in followed)
        assert isinstance(candidate, Candidate)
        assert isinstance(last, Candidate)
        assert isinstance(bye, Bye)
        assert {answer.sid} == {candidate.sid, last.sid, bye.sid}
        assert candidate.seq < last.seq < bye.seq
        assert (candidate.mid, candidate.mline) == ("0", 0)
        assert last.candidate == ""
    assert said[0][1].sid != said[4][1].sid

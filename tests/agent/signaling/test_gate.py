"""The gate lets a call in once, from the key its grant names, under a fresh challenge; all else it refuses."""

from __future__ import annotations

import base64
import json
import secrets
import time
from collections.abc import Callable

import pytest

from agent.signaling.gate import CHALLENGE_S, REMEMBERED, Gate
from agent.signaling.limits import CALLS_IN_ALL, CALLS_OF_A_VIEWER, FOLLOW_UPS_OF_A_VIEWER
from protocol import certificates, jws
from protocol.errors import BadSignature, Malformed, Overloaded, Refused, Untrusted
from protocol.messages import Bye, Candidate, Revoke
from protocol.names import Role, device_id
from tests.kit.caller import Caller, Signer, TrustTree

DEVICE = device_id(bytes(16))
NOW = time.time()


@pytest.fixture(scope="module")
def tree() -> TrustTree:
    return TrustTree()


@pytest.fixture(scope="module")
def authoriser(tree: TrustTree) -> Signer:
    return tree.leaf(Role.AUTHORISER, "fleet")


@pytest.fixture
def caller(authoriser: Signer) -> Caller:
    return Caller(device=DEVICE, authoriser=authoriser)


@pytest.fixture
def gate(tree: TrustTree) -> Gate:
    return Gate(device=DEVICE, root=tree.root, now=NOW, random=secrets.token_bytes)


def offer(gate: Gate, caller: Caller, **changes: object) -> str:
    return caller.offer(challenge=gate.challenge, grant=caller.grant(NOW), **changes)


def test_a_call_with_a_good_grant_is_let_in(gate: Gate, caller: Caller) -> None:
    message = offer(gate, caller)

    call = gate.call(jws.peek(message), NOW)

    assert call.grant.jkt == caller.jkt
    assert call.offer_sha256 == jws.sha256(message)


def test_the_same_call_is_let_in_only_once(gate: Gate, caller: Caller) -> None:
    message = jws.peek(offer(gate, caller))
    gate.call(message, NOW)

    with pytest.raises(Malformed, match="made before"):
        gate.call(message, NOW)


def test_a_call_that_names_the_challenge_before_this_one_is_still_in_time(gate: Gate, caller: Caller) -> None:
    message = offer(gate, caller)
    assert gate.rotate(NOW + CHALLENGE_S)

    assert gate.call(jws.peek(message), NOW + 1)


def test_a_replay_is_still_known_after_the_challenge_changed(gate: Gate, caller: Caller) -> None:
    message = jws.peek(offer(gate, caller))
    gate.call(message, NOW)
    gate.rotate(NOW + CHALLENGE_S)

    with pytest.raises(Malformed, match="made before"):
        gate.call(message, NOW + 1)


def test_a_challenge_of_long_ago_is_refused_so_that_the_viewer_can_take_the_newest(gate: Gate, caller: Caller) -> None:
    message = offer(gate, caller)
    gate.rotate(NOW + CHALLENGE_S)
    gate.rotate(NOW + 2 * CHALLENGE_S)

    with pytest.raises(Refused) as refusal:
        gate.call(jws.peek(message), NOW + 1)
    assert refusal.value.reason == "expired"


def test_the_challenge_changes_only_after_its_time(gate: Gate) -> None:
    before = gate.challenge

    assert not gate.rotate(NOW + CHALLENGE_S - 1)
    assert gate.challenge == before


def test_an_ended_grant_is_refused(gate: Gate, caller: Caller) -> None:
    with pytest.raises(Refused) as refusal:
        gate.call(jws.peek(offer(gate, caller)), NOW + 301)
    assert refusal.value.reason == "expired"


def test_a_grant_without_the_live_scope_is_refused(gate: Gate, caller: Caller) -> None:
    grant = caller.grant(NOW, scope=frozenset({"snapshot"}))
    with pytest.raises(Refused) as refusal:
        gate.call(jws.peek(caller.offer(challenge=gate.challenge, grant=grant)), NOW)
    assert refusal.value.reason == "forbidden"


def test_a_grant_from_the_future_opens_nothing(gate: Gate, caller: Caller) -> None:
    grant = caller.grant(NOW + 120)
    with pytest.raises(Untrusted):
        gate.call(jws.peek(caller.offer(challenge=gate.challenge, grant=grant)), NOW)


def test_a_grant_for_another_device_opens_nothing(gate: Gate, caller: Caller) -> None:
    grant = caller.grant(NOW, aud=device_id(b"x" * 16))
    with pytest.raises(Untrusted):
        gate.call(jws.peek(caller.offer(challenge=gate.challenge, grant=grant)), NOW)


def test_a_grant_for_another_key_opens_nothing(gate: Gate, caller: Caller, authoriser: Signer) -> None:
    thief = Caller(device=DEVICE, authoriser=authoriser)
    with pytest.raises(Untrusted):
        gate.call(jws.peek(thief.offer(challenge=gate.challenge, grant=caller.grant(NOW))), NOW)


@pytest.mark.parametrize("role", [Role.DEVICE, Role.BIRTH, Role.APP, Role.SERVICE])
def test_a_grant_that_no_authoriser_signed_opens_nothing(gate: Gate, tree: TrustTree, role: Role) -> None:
    impostor = Caller(device=DEVICE, authoriser=tree.leaf(role, DEVICE))
    with pytest.raises(Untrusted):
        gate.call(jws.peek(offer(gate, impostor)), NOW)


def test_a_grant_under_another_root_opens_nothing(gate: Gate) -> None:
    stranger = Caller(device=DEVICE, authoriser=TrustTree().leaf(Role.AUTHORISER, "fleet"))
    with pytest.raises(Untrusted):
        gate.call(jws.peek(offer(gate, stranger)), NOW)


def test_an_offer_for_another_device_opens_nothing(gate: Gate, caller: Caller) -> None:
    with pytest.raises(Malformed):
        gate.call(jws.peek(offer(gate, caller, device=device_id(b"x" * 16))), NOW)


def test_an_offer_with_any_part_changed_opens_nothing(gate: Gate, caller: Caller) -> None:
    header, _, signature = offer(gate, caller).split(".")
    other_payload = offer(gate, caller).split(".")[1]
    with pytest.raises(BadSignature):
        gate.call(jws.peek(f"{header}.{other_payload}.{signature}"), NOW)


def test_a_stranger_without_a_grant_learns_nothing_about_the_challenge(gate: Gate) -> None:
    """Only a Refused may be answered; a stale challenge is told after the grant has verified."""
    stranger = Caller(device=DEVICE, authoriser=TrustTree().leaf(Role.AUTHORISER, "fleet"))
    message = stranger.offer(challenge=jws.base64url(bytes(16)), grant=stranger.grant(NOW))
    with pytest.raises(Untrusted):
        gate.call(jws.peek(message), NOW)


def test_a_full_memory_of_calls_refuses_rather_than_forgets(tree: TrustTree, caller: Caller) -> None:
    gate = Gate(device=DEVICE, root=tree.root, now=NOW, random=secrets.token_bytes)
    gate._challenges[-1].sids.update(str(number) for number in range(REMEMBERED))
    with pytest.raises(Refused) as refusal:
        gate.call(jws.peek(offer(gate, caller)), NOW)
    assert refusal.value.reason == "busy"


def test_a_candidate_and_a_bye_count_only_from_the_key_that_called(gate: Gate, caller: Caller) -> None:
    sid = jws.base64url(bytes(16))
    candidate = Candidate(sid=sid, seq=0, candidate="", mid="0", mline=0)
    bye = Bye(sid=sid, seq=1, reason="left")

    assert gate.follow_up(jws.peek(caller.sign(candidate)), caller.jkt, NOW) == candidate
    assert gate.follow_up(jws.peek(caller.sign(bye)), caller.jkt, NOW) == bye
    with pytest.raises(Untrusted):
        gate.follow_up(jws.peek(Caller(device=DEVICE, authoriser=caller.authoriser).sign(bye)), caller.jkt, NOW)


def test_a_call_that_was_refused_is_answered_once_however_often_it_is_repeated(gate: Gate, caller: Caller) -> None:
    message = jws.peek(offer(gate, caller))
    gate.rotate(NOW + CHALLENGE_S)
    gate.rotate(NOW + 2 * CHALLENGE_S)
    with pytest.raises(Refused):
        gate.call(message, NOW + 1)

    with pytest.raises(Malformed, match="made before"):
        gate.call(message, NOW + 1)


def test_a_call_made_after_the_grant_has_ended_is_answered_once_too(gate: Gate, caller: Caller) -> None:
    message = jws.peek(offer(gate, caller))
    with pytest.raises(Refused):
        gate.call(message, NOW + 301)

    with pytest.raises(Malformed, match="made before"):
        gate.call(message, NOW + 301)


class Curves:
    """Counts what costs a curve: each signature that is verified, and each chain."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.count = 0
        for module, name in ((jws, "_verify"), (certificates, "verify_chain")):
            monkeypatch.setattr(module, name, self._counted(getattr(module, name)))

    def _counted(self, verify: Callable[..., object]) -> Callable[..., object]:
        def counted(*args: object, **more: object) -> object:
            self.count += 1
            return verify(*args, **more)

        return counted


def forged(compact: str, **members: object) -> str:
    """The same message with other members, and the old signature."""
    header, payload, signature = compact.split(".")
    changed = json.loads(base64.urlsafe_b64decode(payload + "==")) | members
    return f"{header}.{jws.base64url(json.dumps(changed).encode())}.{signature}"


def test_what_compares_badly_costs_no_curve(
    gate: Gate, caller: Caller, authoriser: Signer, monkeypatch: pytest.MonkeyPatch
) -> None:
    thief = Caller(device=DEVICE, authoriser=authoriser)
    grant = caller.grant(NOW)
    stolen = thief.offer(challenge=gate.challenge, grant=grant)
    elsewhere = caller.offer(challenge=gate.challenge, grant=caller.grant(NOW, aud=device_id(b"x" * 16)))
    early = caller.offer(challenge=gate.challenge, grant=caller.grant(NOW + 120))
    curves = Curves(monkeypatch)

    for message in (stolen, elsewhere, early):
        with pytest.raises(Untrusted):
            gate.call(jws.peek(message), NOW)
    assert curves.count == 0


def test_a_forged_offer_under_a_known_grant_or_a_known_authoriser_costs_one_curve(
    gate: Gate, caller: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    good = offer(gate, caller)
    gate.call(jws.peek(good), NOW)
    token = json.loads(base64.urlsafe_b64decode(good.split(".")[1] + "=="))["grant"]
    curves = Curves(monkeypatch)

    with pytest.raises(BadSignature):
        gate.call(jws.peek(forged(good, sid=jws.base64url(secrets.token_bytes(16)))), NOW)
    assert curves.count == 1
    other_grant = forged(token, jti="another")
    with pytest.raises(BadSignature):
        gate.call(jws.peek(caller.offer(challenge=gate.challenge, grant=other_grant)), NOW)
    assert curves.count == 2


def test_a_chain_that_was_never_seen_costs_nothing_while_there_is_no_time_for_it(
    gate: Gate, caller: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    message = jws.peek(offer(gate, caller))
    curves = Curves(monkeypatch)

    with pytest.raises(Overloaded):
        gate.call(message, NOW, lambda: False)
    assert curves.count == 0
    monkeypatch.undo()
    assert gate.call(message, NOW)
    assert gate.call(jws.peek(offer(gate, caller)), NOW, lambda: False), "a known authoriser's viewers come first"


def test_an_authorisers_chain_is_not_believed_beyond_its_end(tree: TrustTree, caller: Caller) -> None:
    late = NOW + 8 * 86_400
    gate = Gate(device=DEVICE, root=tree.root, now=NOW, random=secrets.token_bytes)
    gate.call(jws.peek(offer(gate, caller)), NOW)

    with pytest.raises(Untrusted):
        gate.call(jws.peek(caller.offer(challenge=gate.challenge, grant=caller.grant(late))), late)


def test_a_viewer_who_calls_too_often_is_passed_over_and_no_other_is(
    gate: Gate, caller: Caller, authoriser: Signer
) -> None:
    for _ in range(int(CALLS_OF_A_VIEWER.burst)):
        gate.call(jws.peek(offer(gate, caller)), NOW)

    with pytest.raises(Overloaded):
        gate.call(jws.peek(offer(gate, caller)), NOW)
    assert gate.call(jws.peek(offer(gate, Caller(device=DEVICE, authoriser=authoriser))), NOW)
    later = NOW + 1 / CALLS_OF_A_VIEWER.per_s
    assert gate.call(jws.peek(offer(gate, caller)), later)


def test_forged_calls_in_a_viewers_name_do_not_use_up_what_it_has(gate: Gate, caller: Caller) -> None:
    good = offer(gate, caller)
    for number in range(100):
        with pytest.raises(BadSignature):
            gate.call(jws.peek(forged(good, sid=jws.base64url(number.to_bytes(16, "big")))), NOW)

    assert gate.call(jws.peek(good), NOW)


def test_calls_of_all_viewers_together_have_a_limit_that_each_is_told_of(gate: Gate, authoriser: Signer) -> None:
    def fresh() -> jws.Unverified:
        return jws.peek(offer(gate, Caller(device=DEVICE, authoriser=authoriser)))

    for _ in range(int(CALLS_IN_ALL.burst)):
        gate.call(fresh(), NOW)
    with pytest.raises(Refused) as refusal:
        gate.call(fresh(), NOW)
    assert refusal.value.reason == "busy"


def test_candidates_of_a_viewer_have_a_limit(gate: Gate, caller: Caller) -> None:
    sid = jws.base64url(bytes(16))
    candidates = [
        jws.peek(caller.sign(Candidate(sid=sid, seq=seq, candidate="", mid="0", mline=0)))
        for seq in range(int(FOLLOW_UPS_OF_A_VIEWER.burst) + 1)
    ]
    for candidate in candidates[:-1]:
        gate.follow_up(candidate, caller.jkt, NOW)
    with pytest.raises(Overloaded):
        gate.follow_up(candidates[-1], caller.jkt, NOW)


def revocation(authoriser: Signer, at: float = NOW, **changes: object) -> jws.Unverified:
    payload = Revoke(device=DEVICE, iat=int(at), sub="somebody").payload() | changes
    return jws.peek(authoriser.sign("revoke", payload))


def test_what_was_granted_before_a_revocation_is_refused_and_what_comes_after_it_is_not(
    gate: Gate, caller: Caller, authoriser: Signer
) -> None:
    before = jws.peek(offer(gate, caller))

    assert gate.revocation(revocation(authoriser), NOW).sub == "somebody"

    with pytest.raises(Refused) as refusal:
        gate.call(before, NOW)
    assert refusal.value.reason == "revoked"
    assert gate.call(jws.peek(caller.offer(challenge=gate.challenge, grant=caller.grant(NOW + 1))), NOW + 1)


def test_a_revocation_of_one_person_leaves_all_others_and_one_of_the_device_leaves_nobody(
    gate: Gate, caller: Caller, authoriser: Signer
) -> None:
    gate.revocation(revocation(authoriser, sub="somebody-else"), NOW)
    gate.call(jws.peek(offer(gate, caller)), NOW)

    gate.revocation(revocation(authoriser, sub=""), NOW)
    with pytest.raises(Refused) as refusal:
        gate.call(jws.peek(offer(gate, caller)), NOW)
    assert refusal.value.reason == "revoked"


def test_a_revocation_that_is_repeated_late_or_for_another_device_revokes_nothing(
    gate: Gate, caller: Caller, authoriser: Signer
) -> None:
    gate.revocation(revocation(authoriser, NOW - 10), NOW)

    for message in (
        revocation(authoriser, NOW - 10),
        revocation(authoriser, NOW - 400),
        revocation(authoriser, NOW + 60),
        revocation(authoriser, device=device_id(b"x" * 16)),
    ):
        with pytest.raises(Malformed):
            gate.revocation(message, NOW)
    assert gate.call(jws.peek(offer(gate, caller)), NOW)


@pytest.mark.parametrize("role", [Role.DEVICE, Role.APP, Role.SERVICE])
def test_nobody_but_an_authoriser_revokes(gate: Gate, tree: TrustTree, caller: Caller, role: Role) -> None:
    with pytest.raises(Untrusted):
        gate.revocation(revocation(tree.leaf(role, DEVICE)), NOW)
    assert gate.call(jws.peek(offer(gate, caller)), NOW)


def test_a_fresh_grant_renews_for_as_long_as_it_and_the_device_allow(tree: TrustTree, caller: Caller) -> None:
    gate = Gate(device=DEVICE, root=tree.root, now=NOW, random=secrets.token_bytes, longest_s=600)

    assert gate.renewal(caller.grant(NOW, session_s=300), caller.jkt, NOW)[1] == 300
    assert gate.renewal(caller.grant(NOW), caller.jkt, NOW)[1] == 600


def test_a_grant_that_has_ended_or_is_anothers_renews_nothing(gate: Gate, caller: Caller, authoriser: Signer) -> None:
    with pytest.raises(Refused):
        gate.renewal(caller.grant(NOW), caller.jkt, NOW + 301)
    with pytest.raises(Untrusted):
        gate.renewal(Caller(device=DEVICE, authoriser=authoriser).grant(NOW), caller.jkt, NOW)
    with pytest.raises(Refused):
        gate.renewal(caller.grant(NOW, scope=frozenset({"snapshot"})), caller.jkt, NOW)

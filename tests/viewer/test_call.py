"""What a viewer believes: only what the device signed, for this call, with the certificate that DTLS will show."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest

from protocol import jws
from protocol.certificates import thumbprint
from protocol.messages import Answer, Bye, Candidate, Offer
from protocol.names import Role
from tests.kit.caller import Caller, Signer, TrustTree
from tests.viewer.conftest import DEVICE, OTHER, Trust, granted, now, online, signed
from viewer.call import Answered, Call
from viewer.errors import NotNamed, NotVerified


def sdp_of(signer: Signer, algorithm: str = "sha-256") -> str:
    return f"v=0\r\na=fingerprint:{algorithm} {thumbprint(signer.chain[0]).hex(':').upper()}\r\n"


@pytest.fixture
def offer(call: Call, trust: Trust) -> str:
    """The offer of a call whose device is online."""
    assert call.read(signed(trust.device, online()), now()) is None
    return call.offer("v=0")


def answer_to(offer: str, sdp: str) -> Answer:
    sid = str(jws.peek(offer).payload["sid"])
    return Answer(device=DEVICE, sid=sid, offer_sha256=jws.sha256(offer), sdp=sdp, session_s=3600)


def test_an_offer_carries_the_grant_the_challenge_and_the_key_of_the_viewer(call: Call, offer: str) -> None:
    message = jws.peek(offer)

    assert jws.verify_by_own_key(message, "offer")
    read = Offer.parse(message.payload)
    assert (read.device, read.challenge, read.reply, read.stream) == (DEVICE, "c" * 22, "tester", "main")


def test_an_answer_of_the_device_is_believed_once(call: Call, offer: str, trust: Trust) -> None:
    answer = signed(trust.device, answer_to(offer, sdp_of(trust.device)))

    answered = call.read(answer, now())

    assert isinstance(answered, Answered)
    assert answered.leaf == trust.device.chain[0]
    assert call.read(answer, now()) is None


@pytest.mark.parametrize("claimed", [DEVICE, OTHER])
def test_another_device_of_the_fleet_cannot_answer(call: Call, offer: str, trust: Trust, claimed: str) -> None:
    answer = replace(answer_to(offer, sdp_of(trust.other)), device=claimed)

    with pytest.raises(NotVerified, match="not signed by this camera"):
        call.read(signed(trust.other, answer), now())


@pytest.mark.parametrize("role", [Role.SERVICE, Role.APP, Role.AUTHORISER, Role.BIRTH])
def test_a_certificate_of_another_role_cannot_answer(call: Call, offer: str, trust: Trust, role: Role) -> None:
    impostor = trust.tree.leaf(role, DEVICE)

    with pytest.raises(NotVerified):
        call.read(signed(impostor, answer_to(offer, sdp_of(impostor))), now())


def test_a_device_of_another_root_cannot_answer(call: Call, offer: str) -> None:
    impostor = TrustTree().leaf(Role.DEVICE, DEVICE)

    with pytest.raises(NotVerified):
        call.read(signed(impostor, answer_to(offer, sdp_of(impostor))), now())


def test_a_certificate_that_the_fleet_took_back_cannot_answer(call: Call, offer: str, trust: Trust) -> None:
    superseded = trust.tree.leaf(Role.DEVICE, DEVICE)

    with pytest.raises(NotVerified):
        call.read(signed(superseded, answer_to(offer, sdp_of(superseded))), now())


def test_a_certificate_that_has_ended_cannot_answer(call: Call, offer: str, trust: Trust) -> None:
    answer = signed(trust.device, answer_to(offer, sdp_of(trust.device)))

    with pytest.raises(NotVerified):
        call.read(answer, now() + timedelta(days=31))


def test_an_answer_to_another_offer_is_not_believed(call: Call, offer: str, trust: Trust) -> None:
    answer = replace(answer_to(offer, sdp_of(trust.device)), offer_sha256=jws.sha256("another"))

    with pytest.raises(NotVerified, match="for this call"):
        call.read(signed(trust.device, answer), now())


def test_an_answer_of_an_earlier_call_is_passed_over(call: Call, offer: str, trust: Trust) -> None:
    stale = signed(trust.device, answer_to(offer, sdp_of(trust.device)))
    call.offer("v=0")

    assert call.read(stale, now()) is None


@pytest.mark.parametrize(
    "change",
    [
        lambda sdp, trust: sdp_of(trust.other),
        lambda sdp, trust: sdp + sdp_of(trust.other),
        lambda sdp, trust: sdp.replace("sha-256", "sha-1"),
        lambda sdp, trust: sdp.replace("sha-256", "sha-512"),
        lambda sdp, trust: "v=0\r\n",
    ],
    ids=["swapped", "one more", "another hash", "a hash of the wrong length", "none"],
)
def test_the_answer_names_the_certificate_that_signed_it_and_no_other(
    call: Call, offer: str, trust: Trust, change: Callable[[str, Trust], str]
) -> None:
    answer = answer_to(offer, change(sdp_of(trust.device), trust))

    with pytest.raises(NotVerified, match="is not made with this camera's certificate"):
        call.read(signed(trust.device, answer), now())


@pytest.mark.parametrize("who", ["other", "stranger"])
def test_a_status_that_is_not_of_the_device_is_told(call: Call, trust: Trust, who: str) -> None:
    signer = trust.other if who == "other" else TrustTree().leaf(Role.DEVICE, DEVICE)

    with pytest.raises(NotVerified, match="so it was not called"):
        call.read(signed(signer, online()), now())
    assert call.status is None


def test_an_older_status_does_not_replace_a_newer_one(call: Call, trust: Trust) -> None:
    newest = online(challenge="n" * 22, iat=2_000_000_000)
    call.read(signed(trust.device, newest), now())

    call.read(signed(trust.device, online(challenge="o" * 22, iat=1_999_999_999)), now())

    assert call.status == newest


def test_a_bye_is_heard_once_and_only_from_the_device(call: Call, offer: str, trust: Trust) -> None:
    bye = Bye(sid=str(jws.peek(offer).payload["sid"]), seq=1, reason="busy")

    assert call.read(signed(trust.other, bye), now()) is None
    assert call.read(signed(trust.device, bye), now()) == bye
    assert call.read(signed(trust.device, bye), now()) is None


def test_candidates_are_heard_in_their_order(call: Call, offer: str, trust: Trust) -> None:
    sid = str(jws.peek(offer).payload["sid"])
    first, second = (Candidate(sid=sid, seq=seq, candidate="candidate:1", mid="0", mline=0) for seq in (1, 2))

    assert call.read(signed(trust.device, second), now()) == second
    assert call.read(signed(trust.device, first), now()) is None


def test_a_renewed_certificate_may_say_bye_and_does_not_end_the_call(call: Call, offer: str, trust: Trust) -> None:
    call.read(signed(trust.device, answer_to(offer, sdp_of(trust.device))), now())
    renewed = trust.tree.leaf(Role.DEVICE, DEVICE)
    bye = Bye(sid=str(jws.peek(offer).payload["sid"]), seq=1, reason="shutdown")

    assert call.read(signed(renewed, online()), now()) is None
    assert call.read(signed(renewed, bye), now()) == bye


@pytest.fixture
def move(call: Call, offer: str, trust: Trust) -> str:
    """A move of a session whose offer the device has answered."""
    assert call.read(signed(trust.device, answer_to(offer, sdp_of(trust.device))), now()) is not None
    return call.move("v=0")


def test_a_renewed_certificate_answers_a_move_once_a_fresh_grant_names_it(
    call: Call, move: str, trust: Trust, caller: Caller
) -> None:
    renewed = trust.tree.leaf(Role.DEVICE, DEVICE)
    answer = signed(renewed, answer_to(move, sdp_of(renewed)))
    with pytest.raises(NotNamed):
        call.read(answer, now())

    call.know(granted(caller, caller.grant(now().timestamp()), renewed))

    answered = call.read(answer, now())
    assert isinstance(answered, Answered)
    assert answered.leaf == renewed.chain[0]
    assert call.read(answer, now()) is None


def test_a_certificate_that_a_fresh_grant_does_not_name_answers_no_move(
    call: Call, move: str, trust: Trust, caller: Caller
) -> None:
    superseded = trust.device
    call.know(granted(caller, caller.grant(now().timestamp()), trust.tree.leaf(Role.DEVICE, DEVICE)))

    with pytest.raises(NotVerified):
        call.read(signed(superseded, answer_to(move, sdp_of(superseded))), now())


def test_only_the_answer_to_a_move_may_lack_the_fleets_word_alone(call: Call, offer: str, trust: Trust) -> None:
    renewed = trust.tree.leaf(Role.DEVICE, DEVICE)
    strangers = [trust.other, TrustTree().leaf(Role.DEVICE, DEVICE), trust.tree.leaf(Role.APP, DEVICE)]
    with pytest.raises(NotVerified) as first:
        call.read(signed(renewed, answer_to(offer, sdp_of(renewed))), now())
    move = call.move("v=0")
    for stranger in strangers:
        with pytest.raises(NotVerified) as later:
            call.read(signed(stranger, answer_to(move, sdp_of(stranger))), now())
        assert type(later.value) is type(first.value) is NotVerified


def test_what_a_fresh_grant_names_must_still_be_the_certificate_that_dtls_shows(
    call: Call, move: str, trust: Trust, caller: Caller
) -> None:
    renewed = trust.tree.leaf(Role.DEVICE, DEVICE)
    call.know(granted(caller, caller.grant(now().timestamp()), renewed))

    with pytest.raises(NotVerified) as end:
        call.read(signed(renewed, answer_to(move, sdp_of(trust.device))), now())
    assert end.value.reason == "wrong-fingerprint"


def test_a_renewal_carries_the_fresh_grant(call: Call, offer: str, trust: Trust, caller: Caller) -> None:
    token = caller.grant(now().timestamp())

    assert jws.peek(call.renew(granted(caller, token, trust.device))).payload["grant"] == token


def test_what_is_no_message_or_of_another_call_is_passed_over(call: Call, offer: str, trust: Trust) -> None:
    elsewhere = jws.base64url(secrets.token_bytes(16))

    assert call.read(b"\xff not a message", now()) is None
    assert call.read("a.b.c", now()) is None
    assert call.read(offer, now()) is None
    assert call.read(signed(trust.device, Bye(sid=elsewhere, seq=1, reason="busy")), now()) is None


def test_before_there_is_a_call_there_is_no_bye_to_send_or_to_hear(call: Call, trust: Trust) -> None:
    assert call.bye() is None
    forged = trust.device.sign("bye", {"sid": "", "seq": 1, "reason": "busy"})
    assert call.read(forged, now()) is None

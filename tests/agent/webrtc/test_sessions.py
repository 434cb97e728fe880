"""Sessions with real peer connections: a picture for each viewer, and nothing left behind by any of them."""

from __future__ import annotations

import asyncio
import re
from functools import partial

import pytest

from agent.media.stream import Stream
from agent.webrtc import connection
from protocol.certificates import thumbprint
from protocol.errors import Refused
from tests.kit.caller import Signer
from tests.kit.house import House


async def test_a_viewer_sees_the_picture_over_the_certificate_of_the_device(house: House, device: Signer) -> None:
    call = await house.watch("a")

    fingerprint = thumbprint(device.chain[0]).hex(":").upper()
    assert f"a=fingerprint:sha-256 {fingerprint}" in await call.answer
    assert call.watcher.size == (320, 180)
    assert house.sessions.viewers == 1


async def test_a_viewer_who_leaves_does_not_disturb_the_other(house: House, stream: Stream) -> None:
    first, second = await house.watch("a"), await house.watch("b")

    await first.watcher.close()

    assert await first.ended == "left"
    await second.watcher.see(30)
    assert house.sessions.viewers == stream.viewers == 1


async def test_a_viewer_whose_connection_ends_is_told_apart_from_one_that_is_ended(house: House) -> None:
    call = await house.watch("a")

    house.sessions.end("a", "privacy")

    assert await call.ended == "privacy"
    assert len(house.sessions) == 0


async def test_a_caller_who_never_connects_is_let_go(house: House, stream: Stream) -> None:
    call = await house.call("a", setup_s=0.3)

    assert await call.ended == "setup-timeout"
    assert stream.viewers == 0


@pytest.mark.parametrize("is_in_the_offer", [True, False])
async def test_a_call_to_nowhere_gives_its_place_back_before_its_time(
    house: House, stream: Stream, monkeypatch: pytest.MonkeyPatch, is_in_the_offer: bool
) -> None:
    monkeypatch.setattr(connection, "_GRACE_S", 0.3)
    call = await house.call("a", setup_s=600.0, change=partial(without_candidates, ends=is_in_the_offer))
    await call.answer
    if not is_in_the_offer:
        await asyncio.sleep(0.6)
        assert not call.ended.done()
        house.sessions.add_candidate("a", "")

    async with asyncio.timeout(30):
        assert await call.ended == "setup-timeout"
    assert len(house.sessions) == 0
    assert stream.viewers == 0


async def test_a_viewer_that_named_no_address_is_found_by_its_own_check_when_that_comes_late(house: House) -> None:
    call = await house.call("a", change=partial(without_candidates, ends=True))
    answer = await call.answer

    await asyncio.sleep(1.0)
    await call.watcher.accept(answer)

    await call.watcher.see(3)
    assert not call.ended.done()


def without_candidates(offer: str, *, ends: bool) -> str:
    """An offer that names no address of its viewer, and says that none follows or leaves that open."""
    bare = re.sub(r"^a=(candidate:.*|end-of-candidates)\r\n", "", offer, flags=re.MULTILINE)
    return bare + "a=end-of-candidates\r\n" * ends


async def test_a_session_ends_with_its_grant(house: House) -> None:
    call = await house.watch("a", life_s=0.5)

    assert await call.ended == "expired"


async def test_a_session_that_is_renewed_outlives_its_grant_on_the_same_connection(house: House) -> None:
    call = await house.watch("a", life_s=3.0)

    house.sessions.renew("a", 600.0, frozenset({"live"}))
    await asyncio.sleep(4.0)

    assert not call.ended.done()
    await call.watcher.see(5)
    house.sessions.renew("a", 0.2, frozenset({"live"}))
    assert await call.ended == "expired"


async def test_a_renewal_of_a_session_that_is_ending_comes_too_late_and_harms_nobody(house: House) -> None:
    call = await house.watch("a")

    house.sessions.end("a", "left")
    while not call.ended.done():
        house.sessions.renew("a", 600, frozenset({"live"}))
        await asyncio.sleep(0)

    assert await call.ended == "left"


async def test_a_revocation_ends_the_sessions_of_the_one_it_names(house: House) -> None:
    anna, bert = await house.watch("a", subject="anna"), await house.watch("b", subject="bert")

    house.sessions.revoke("anna")
    assert await anna.ended == "revoked"
    await bert.watcher.see(5)

    house.sessions.revoke("")
    assert await bert.ended == "revoked"


async def test_a_viewer_without_h264_is_told_so(house: House) -> None:
    with pytest.raises(Refused) as refusal:
        await house.call("a", codec="video/VP8")

    assert refusal.value.reason == "codec"
    assert not house.sessions


async def test_an_offer_that_cannot_be_answered_ends_that_call_alone(house: House) -> None:
    good = await house.watch("a")

    with pytest.raises(Refused) as refusal:
        await house.call("b", change=lambda offer: offer.replace("a=ice-pwd", "a=no-such-line"))

    assert refusal.value.reason == "failed"
    await good.watcher.see(5)


async def test_a_viewer_with_another_certificate_than_its_offer_named_sees_nothing(house: House) -> None:
    call = await house.call(
        "a", change=lambda offer: re.sub("(fingerprint:sha-256) .*", r"\1 " + ":".join(["00"] * 32), offer)
    )
    await call.watcher.accept(await call.answer)

    assert await call.ended == "failed"
    assert call.watcher.pictures == 0


async def test_when_all_places_are_taken_a_caller_is_told_so(house: House) -> None:
    await house.watch("a")
    await house.watch("b")

    with pytest.raises(Refused) as refusal:
        await house.call("c")
    assert refusal.value.reason == "busy"


async def test_when_all_places_are_taken_a_viewers_own_old_session_makes_room(house: House) -> None:
    first = await house.watch("a", viewer="me")
    await house.watch("b")

    await house.watch("c", viewer="me")

    assert await first.ended == "replaced"


async def test_a_viewers_old_session_goes_on_when_its_new_offer_cannot_be_answered(house: House) -> None:
    first = await house.watch("a", viewer="me")
    await house.watch("b")

    with pytest.raises(Refused):
        await house.call("c", viewer="me", codec="video/VP8")

    await first.watcher.see(5)


async def test_a_sid_that_is_taken_opens_no_second_session_and_leaves_the_first_alone(house: House) -> None:
    first = await house.watch("a", viewer="me")

    with pytest.raises(Refused):
        await house.call("a", viewer="you")
    assert house.session("a").terms.viewer == "me"
    await first.watcher.see(5)


async def test_once_all_have_been_ended_no_other_begins(house: House) -> None:
    await house.sessions.end_all("shutdown")

    with pytest.raises(Refused) as refusal:
        await house.call("a")
    assert refusal.value.reason == "shutdown"


async def test_only_so_many_calls_are_set_up_at_once(house: House) -> None:
    await house.call("a")
    await house.call("b")

    with pytest.raises(Refused) as refusal:
        await house.call("c")
    assert refusal.value.reason == "busy"

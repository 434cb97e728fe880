"""The gateway's routing, with messages that are really signed; tests/provisioning/test_gateway_link.py adds brokers."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest

from protocol import jws, topics
from protocol.messages import Bye, Candidate, Move, Renew
from protocol.names import Role, device_id
from provisioning.gateway import MOST_CALLS, MOST_SOCKETS, Gateway, Refusal
from tests.kit import site
from tests.kit.caller import Caller, Signer, TrustTree
from tests.kit.site import sid_of

TREE = TrustTree()
AUTHORISER = TREE.leaf(Role.AUTHORISER, "fleet")
ME, OTHER = device_id(b"m" * 16), device_id(b"o" * 16)
CAMERA, OTHER_CAMERA = TREE.leaf(Role.DEVICE, ME), TREE.leaf(Role.DEVICE, OTHER)


class Browser:
    """Takes down what it gets."""

    def __init__(self, *visible: str) -> None:
        self.visible = set(visible)
        self.got: list[dict[str, Any]] = []

    def may_see(self, device: str) -> bool:
        return device in self.visible

    def deliver(self, message: dict[str, Any], *, replaces: str | None = None) -> None:
        self.got.append(message)

    def messages(self) -> list[str]:
        return [entry["message"] for entry in self.got if "error" not in entry]

    def errors(self) -> list[tuple[str, str]]:
        return [(entry["device"], entry["error"]) for entry in self.got if "error" in entry]


class Broker:
    """Takes down what is published."""

    def __init__(self) -> None:
        self.sent: list[tuple[str, str]] = []
        self.broken = False

    async def publish(self, topic: str, message: str) -> None:
        if self.broken:
            raise ConnectionError("gone")
        self.sent.append((topic, message))


@pytest.fixture
def broker() -> Broker:
    return Broker()


@pytest.fixture
def gateway(broker: Broker) -> Gateway:
    gateway = Gateway(publish=broker.publish)
    gateway.found()
    gateway.received(topics.status(ME), status())
    return gateway


def status(presence: str = "online", viewers: int = 0) -> bytes:
    return site.status(CAMERA, ME, presence, viewers)


def answer(to: str, signer: Signer = CAMERA, device: str = ME) -> bytes:
    return site.answer(to, signer, device)


def caller(device: str = ME, reply: str = "gateway") -> Caller:
    return Caller(device=device, authoriser=AUTHORISER, reply=reply)


def offer(by: Caller, **changes: Any) -> str:
    return by.offer(challenge="c" * 22, grant=by.grant(time.time()), **changes)


def candidate(by: Caller, sid: str, seq: int = 1) -> str:
    return by.sign(Candidate(sid=sid, seq=seq, candidate="", mid="0", mline=0))


async def refusal(gateway: Gateway, browser: Browser, device: str, message: str) -> str:
    with pytest.raises(Refusal) as refused:
        await gateway.relay(browser, device, message)
    return refused.value.error


async def test_a_call_reaches_its_device_and_the_answer_its_caller_alone(gateway: Gateway, broker: Broker) -> None:
    first, second = Browser(ME), Browser(ME)
    assert gateway.open(first)
    assert gateway.open(second)
    calling = offer(caller())
    await gateway.relay(first, ME, calling)
    assert broker.sent == [(topics.call(ME), calling)]
    said = answer(calling)
    gateway.received(topics.reply(ME, "gateway"), said)
    assert first.messages()[1:] == [said.decode()]
    assert second.messages()[1:] == []


async def test_whoever_moves_gets_the_replies_at_its_new_socket_before_the_old_one_is_known_to_be_dead(
    gateway: Gateway, broker: Broker
) -> None:
    before, after, by = Browser(ME), Browser(ME), caller()
    assert gateway.open(before)
    calling = offer(by)
    await gateway.relay(before, ME, calling)
    assert gateway.open(after)

    moving = by.sign(Move(sid=sid_of(calling), seq=1, sdp="v=0"))
    await gateway.relay(after, ME, moving)
    await gateway.relay(after, ME, candidate(by, sid_of(calling), 2))
    gateway.received(topics.reply(ME, "gateway"), answer(calling))

    assert len(after.messages()) == 2
    assert len(before.messages()) == 1
    assert await refusal(gateway, before, ME, candidate(by, sid_of(calling), 3)) == "forbidden"
    gateway.close(before)
    gateway.received(topics.reply(ME, "gateway"), answer(calling))
    assert len(after.messages()) == 3


@pytest.mark.parametrize(
    "following",
    [
        lambda sid: Move(sid=sid, seq=1, sdp="v=0"),
        lambda sid: Renew(sid=sid, seq=1, grant=caller().grant(time.time())),
        lambda sid: Candidate(sid=sid, seq=1, candidate="", mid="0", mline=0),
        lambda sid: Bye(sid=sid, seq=1, reason="left"),
    ],
    ids=["move", "renew", "candidate", "bye"],
)
async def test_whoever_goes_on_is_known_again_after_its_socket_was_closed(
    gateway: Gateway, broker: Broker, following: Callable[[str], Move | Renew | Candidate | Bye]
) -> None:
    before, after, by = Browser(ME), Browser(ME), caller()
    assert gateway.open(before)
    calling = offer(by)
    await gateway.relay(before, ME, calling)
    gateway.close(before)
    assert gateway.open(after)

    said = by.sign(following(sid_of(calling)))
    await gateway.relay(after, ME, said)

    assert broker.sent[-1] == (topics.call(ME), said)
    gateway.received(topics.reply(ME, "gateway"), answer(calling))
    assert len(after.messages()) == 2


async def test_nobody_moves_with_a_camera_that_it_may_not_see(gateway: Gateway, broker: Broker) -> None:
    browser, stranger, by = Browser(ME), Browser(OTHER), caller()
    assert gateway.open(browser)
    assert gateway.open(stranger)
    calling = offer(by)
    await gateway.relay(browser, ME, calling)
    moving = by.sign(Move(sid=sid_of(calling), seq=1, sdp="v=0"))

    assert await refusal(gateway, stranger, ME, moving) == "forbidden"
    assert await refusal(gateway, stranger, OTHER, moving) == "forbidden"


async def test_candidates_and_byes_follow_the_offer_they_belong_to(gateway: Gateway, broker: Broker) -> None:
    browser, by = Browser(ME), caller()
    gateway.open(browser)
    calling = offer(by)
    await gateway.relay(browser, ME, calling)
    following = [candidate(by, sid_of(calling)), by.sign(Bye(sid=sid_of(calling), seq=2, reason="left"))]
    for message in following:
        await gateway.relay(browser, ME, message)
    assert [message for _, message in broker.sent] == [calling, *following]


async def test_nobody_speaks_in_another_s_call(gateway: Gateway, broker: Broker) -> None:
    mine, theirs, by = Browser(ME), Browser(ME), caller()
    gateway.open(mine)
    gateway.open(theirs)
    calling = offer(by)
    await gateway.relay(mine, ME, calling)
    for message in (calling, candidate(by, sid_of(calling)), by.sign(Bye(sid=sid_of(calling), seq=1, reason="left"))):
        assert await refusal(gateway, theirs, ME, message) == "forbidden"
    assert len(broker.sent) == 1


async def test_another_device_s_message_in_a_call_goes_nowhere(gateway: Gateway) -> None:
    browser = Browser(ME, OTHER)
    gateway.open(browser)
    calling = offer(caller())
    await gateway.relay(browser, ME, calling)
    before = len(browser.got)
    gateway.received(topics.reply(OTHER, "gateway"), answer(calling, OTHER_CAMERA, OTHER))
    assert len(browser.got) == before


@pytest.mark.parametrize(
    "message",
    [
        "",
        "not.a.jws",
        caller().grant(time.time()),
        status().decode(),
        candidate(caller(), "short"),
        offer(caller(), sid="short"),
        offer(caller(OTHER)),
        offer(caller(reply="recorder")),
    ],
    ids=["nothing", "noise", "grant", "status", "bad-candidate", "bad-sid", "other-device", "other-reply"],
)
async def test_what_is_no_call_of_this_socket_is_forbidden(gateway: Gateway, broker: Broker, message: str) -> None:
    browser = Browser(ME)
    gateway.open(browser)
    assert await refusal(gateway, browser, ME, message) == "forbidden"
    assert broker.sent == []


@pytest.mark.parametrize("device", ["", "#", "+", f"{ME}/call", ME.upper()])
async def test_what_is_no_device_id_reaches_no_topic(gateway: Gateway, broker: Broker, device: str) -> None:
    browser = Browser(device)
    gateway.open(browser)
    assert await refusal(gateway, browser, device, offer(caller())) == "forbidden"
    assert broker.sent == []


async def test_without_a_permission_there_is_neither_status_nor_call(gateway: Gateway, broker: Broker) -> None:
    browser = Browser()
    gateway.open(browser)
    assert await refusal(gateway, browser, ME, offer(caller())) == "forbidden"
    assert (browser.got, broker.sent) == ([], [])


async def test_a_call_that_is_too_long_is_told_so(gateway: Gateway) -> None:
    browser = Browser(ME)
    gateway.open(browser)
    assert await refusal(gateway, browser, ME, "x" * (jws.MAX_MESSAGE + 1)) == "too-long"


async def test_a_device_that_is_away_is_offline(gateway: Gateway, broker: Broker) -> None:
    browser = Browser(ME, OTHER)
    gateway.open(browser)
    assert await refusal(gateway, browser, OTHER, offer(caller(OTHER))) == "offline"
    gateway.received(topics.status(ME), status(presence="offline"))
    assert await refusal(gateway, browser, ME, offer(caller())) == "offline"
    assert broker.sent == []


async def test_without_a_broker_nothing_is_known_and_calls_are_told_why(gateway: Gateway, broker: Broker) -> None:
    browser = Browser(ME)
    gateway.open(browser)
    broker.broken = True
    assert await refusal(gateway, browser, ME, offer(caller())) == "broker"
    gateway.lost()
    assert gateway.presence(ME) == "unknown"
    assert await refusal(gateway, browser, ME, offer(caller())) == "broker"


def test_statuses_come_at_once_and_on_change(gateway: Gateway) -> None:
    browser = Browser(ME)
    gateway.open(browser)
    assert [jws.peek(message).payload["viewers"] for message in browser.messages()] == [0]
    gateway.received(topics.status(ME), status(viewers=3))
    assert [jws.peek(message).payload["viewers"] for message in browser.messages()] == [0, 3]
    assert gateway.presence(ME) == "online"


def test_a_new_permission_shows_what_was_hidden(gateway: Gateway) -> None:
    browser = Browser()
    gateway.open(browser)
    browser.visible.add(ME)
    gateway.refresh(browser)
    assert len(browser.messages()) == 1


@pytest.mark.parametrize(
    ("topic", "payload"),
    [
        (topics.status(OTHER), status()),
        (topics.status(OTHER), b"noise"),
        (topics.status(OTHER), answer(offer(caller()))),
        ("camward/1/x/status", status()),
        ("elsewhere", status()),
        (topics.reply(ME, "gateway"), b"noise"),
    ],
)
def test_what_a_device_may_not_say_is_dropped(gateway: Gateway, topic: str, payload: bytes) -> None:
    browser = Browser(ME, OTHER)
    gateway.open(browser)
    before = len(browser.got)
    assert gateway.received(topic, payload) is None
    assert len(browser.got) == before
    assert gateway.presence(OTHER) == "unknown"


def test_an_emptied_status_is_forgotten(gateway: Gateway) -> None:
    gateway.received(topics.status(ME), b"")
    assert gateway.presence(ME) == "unknown"


async def test_a_revoked_device_is_refused_at_once_and_its_viewers_are_told(gateway: Gateway, broker: Broker) -> None:
    viewer, stranger, by = Browser(ME), Browser(OTHER), caller()
    gateway.open(viewer)
    gateway.open(stranger)
    calling = offer(by)
    await gateway.relay(viewer, ME, calling)
    gateway.revoke(ME)
    assert viewer.errors() == [(ME, "revoked")]
    assert stranger.got == []
    gateway.received(topics.status(ME), status())
    gateway.received(topics.reply(ME, "gateway"), answer(calling))
    assert len(viewer.got) == 2
    assert await refusal(gateway, viewer, ME, candidate(by, sid_of(calling))) == "revoked"
    assert await refusal(gateway, viewer, ME, offer(by)) == "revoked"
    assert len(broker.sent) == 1


async def test_a_device_with_a_new_owner_is_relayed_again(gateway: Gateway, broker: Broker) -> None:
    browser = Browser(ME)
    gateway.open(browser)
    gateway.revoke(ME)
    gateway.admit(ME)
    gateway.received(topics.status(ME), status())
    await gateway.relay(browser, ME, offer(caller()))
    assert len(broker.sent) == 1


async def test_a_socket_that_closes_sends_nothing_and_hears_nothing(gateway: Gateway, broker: Broker) -> None:
    browser = Browser(ME)
    gateway.open(browser)
    calling = offer(caller())
    await gateway.relay(browser, ME, calling)
    gateway.close(browser)
    gateway.close(browser)
    before = len(browser.got)
    gateway.received(topics.reply(ME, "gateway"), answer(calling))
    gateway.received(topics.status(ME), status())
    assert len(browser.got) == before
    assert len(broker.sent) == 1


async def test_the_oldest_of_too_many_calls_is_forgotten(gateway: Gateway) -> None:
    browser, by = Browser(ME), caller()
    gateway.open(browser)
    calls = [offer(by) for _ in range(MOST_CALLS + 1)]
    for calling in calls:
        await gateway.relay(browser, ME, calling)
    before = len(browser.got)
    gateway.received(topics.reply(ME, "gateway"), answer(calls[0]))
    assert len(browser.got) == before
    gateway.received(topics.reply(ME, "gateway"), answer(calls[1]))
    assert len(browser.got) == before + 1


def test_one_socket_too_many_is_refused(gateway: Gateway) -> None:
    browsers = [Browser() for _ in range(MOST_SOCKETS)]
    assert all(gateway.open(browser) for browser in browsers)
    assert not gateway.open(Browser())
    gateway.close(browsers[0])
    assert gateway.open(Browser())

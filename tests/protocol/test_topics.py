from __future__ import annotations

import pytest

from protocol import topics
from protocol.errors import Malformed
from protocol.names import Role
from protocol.topics import Access

DEVICE = "a" * 26
OTHER = "b" * 26


def test_topics_are_built_from_checked_names() -> None:
    assert topics.status(DEVICE) == f"camward/1/{DEVICE}/status"
    assert topics.call(DEVICE) == f"camward/1/{DEVICE}/call"
    assert topics.reply(DEVICE, "gateway") == f"camward/1/{DEVICE}/reply/gateway"
    for wrong in ("+", "#", f"{DEVICE}/x", ""):
        with pytest.raises(Malformed):
            topics.status(wrong)
        with pytest.raises(Malformed):
            topics.reply(DEVICE, wrong)


@pytest.mark.parametrize("topic", [topics.status(DEVICE), topics.call(DEVICE), topics.reply(DEVICE, "gateway")])
def test_a_topic_says_whose_it_is(topic: str) -> None:
    assert topics.device_of(topic) == DEVICE


@pytest.mark.parametrize("topic", ["", "camward/1", f"camward/1/{DEVICE}", "camward/1/x/status", "a/b/c/d"])
def test_a_topic_that_belongs_to_no_device_is_refused(topic: str) -> None:
    with pytest.raises(Malformed):
        topics.device_of(topic)


def test_no_topic_is_too_deep_for_aws_iot_core() -> None:
    assert max(rule.topic.count("/") for rule in topics.RULES) <= 7


@pytest.mark.parametrize(
    ("role", "name", "access", "topic"),
    [
        (Role.DEVICE, DEVICE, Access.WRITE, topics.status(DEVICE)),
        (Role.DEVICE, DEVICE, Access.WRITE, topics.reply(DEVICE, "gateway")),
        (Role.DEVICE, DEVICE, Access.READ, topics.call(DEVICE)),
        (Role.SERVICE, "gateway", Access.READ, topics.every_status()),
        (Role.SERVICE, "gateway", Access.READ, topics.every_reply("gateway")),
        (Role.SERVICE, "gateway", Access.READ, topics.reply(DEVICE, "gateway")),
        (Role.SERVICE, "gateway", Access.WRITE, topics.call(DEVICE)),
        (Role.APP, "panel", Access.WRITE, topics.call(DEVICE)),
        (Role.APP, "panel", Access.READ, topics.every_reply("panel")),
        (Role.APP, "panel", Access.READ, topics.status(DEVICE)),
    ],
)
def test_what_a_client_needs_is_allowed(role: Role, name: str, access: Access, topic: str) -> None:
    assert topics.allowed(role, name, access, topic)


@pytest.mark.parametrize(
    ("role", "name", "access", "topic"),
    [
        (Role.DEVICE, DEVICE, Access.WRITE, topics.status(OTHER)),
        (Role.DEVICE, DEVICE, Access.READ, topics.status(OTHER)),
        (Role.DEVICE, DEVICE, Access.READ, topics.call(OTHER)),
        (Role.DEVICE, DEVICE, Access.READ, "camward/1/+/call"),
        (Role.DEVICE, DEVICE, Access.WRITE, topics.call(DEVICE)),
        (Role.DEVICE, DEVICE, Access.READ, "#"),
        (Role.APP, "panel", Access.READ, topics.every_reply("gateway")),
        (Role.APP, "panel", Access.READ, "camward/1/+/reply/+"),
        (Role.APP, "panel", Access.READ, "camward/1/#"),
        (Role.APP, "panel", Access.READ, f"camward/1/{DEVICE}/reply/#"),
        (Role.APP, "panel", Access.READ, topics.call(DEVICE)),
        (Role.APP, "panel", Access.WRITE, topics.status(DEVICE)),
        (Role.APP, "panel", Access.WRITE, topics.reply(DEVICE, "gateway")),
        (Role.SERVICE, "gateway", Access.WRITE, topics.status(DEVICE)),
        (Role.SERVICE, "gateway", Access.READ, topics.every_reply("panel")),
        (Role.BIRTH, DEVICE, Access.WRITE, topics.status(DEVICE)),
        (Role.AUTHORISER, "fleet", Access.WRITE, topics.call(DEVICE)),
        (Role.DEVICE, DEVICE, Access.READ, f"{topics.call(DEVICE)}/more"),
        (Role.DEVICE, DEVICE, Access.READ, "camward/2/" + DEVICE + "/call"),
    ],
)
def test_nobody_reaches_under_another_name(role: Role, name: str, access: Access, topic: str) -> None:
    assert not topics.allowed(role, name, access, topic)

"""A broker under an attacker: it reads, changes, replays, drops and forges, and yet nobody sees or poses as a camera.

The real daemon and the real viewer, each with a real mosquitto on its side, and the attacker in between.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import time
from collections.abc import AsyncIterator, Callable, Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from agent.rates import Bucket, Rate
from protocol import jws, topics
from protocol.certificates import thumbprint
from protocol.messages import Answer, Bye, Offer, Renew, Revoke, Status, kind_of
from protocol.names import Role
from provisioning.registry import Registry
from tests.kit.brokers import make_fleet
from tests.kit.caller import Caller, Signer
from tests.kit.device import RunningDevice, device_config, running
from tests.kit.flips import bytes_flipped, members_flipped
from tests.kit.hostile import HostileBroker, hostile_broker, last
from tests.kit.pki import EnrolledDevice, enrol, issue_leaf, new_key
from viewer.call import Call, Granted
from viewer.errors import Declined, NoPicture, NotVerified
from viewer.mqtt import App
from viewer.options import AppOptions
from viewer.watch import Watch
from viewer.way import Way

pytestmark = pytest.mark.broker
APP = "phone"


@dataclass
class Scene:
    """One device, the attacker, and viewers who call through the attacker."""

    hostile: HostileBroker
    device: RunningDevice
    enrolled: EnrolledDevice
    other: EnrolledDevice
    authoriser: Signer

    async def watch(self, *, seconds: float = 1.0, key: ec.EllipticCurvePrivateKey | None = None) -> Watch:
        """Watch the device for a while; gives the watch, with what it saw. Errors: ViewError, as its `fault`."""
        async with self.watching(seconds=seconds, key=key) as (watch, task):
            await task
        return watch

    @contextlib.asynccontextmanager
    async def watching(
        self, *, seconds: float | None, key: ec.EllipticCurvePrivateKey | None = None
    ) -> AsyncIterator[tuple[Watch, asyncio.Task[str]]]:
        caller = Caller(device=self.enrolled.id, authoriser=self.authoriser, reply=APP, key=key or new_key())
        fleet = self.hostile.callers.fleet
        options = AppOptions(
            credentials=issue_leaf(fleet, Role.APP, APP).path, name=APP, host="localhost", port=fleet.ports.broker
        )
        known = jws.base64url(thumbprint(self.enrolled.operational.chain[0]))
        granted = Granted(token=caller.grant(time.time()), caller=APP, certificates=frozenset({known}), ice_servers=())
        call = Call(
            device=self.enrolled.id,
            root=fleet.root,
            key=caller.key,
            granted=granted,
            random=secrets.token_bytes,
        )
        async with Way.open(lambda: App.connect(options, fleet.directory / "root.pem", self.enrolled.id)) as app:
            watch = Watch(call, app, ice_servers=(), seconds=seconds, record=None, say=lambda line: None)
            task = asyncio.create_task(watch.run())
            try:
                yield watch, task
            finally:
                watch.stop()
                await asyncio.gather(task, return_exceptions=True)

    def signed_by(self, device: EnrolledDevice, message: Status | Answer | Bye) -> bytes:
        leaf = device.operational
        return jws.sign(kind_of(message), message.payload(), key=leaf.key, chain=leaf.chain).encode()


@pytest.fixture
async def scene(tmp_path: Path) -> AsyncIterator[Scene]:
    fleet = make_fleet(tmp_path / "fleet")
    registry = Registry(fleet.registry_url)
    enrolled, other = enrol(fleet, registry, "SN1"), enrol(fleet, registry, "SN2")
    authoriser = issue_leaf(fleet, Role.AUTHORISER, "fleet")
    async with hostile_broker(fleet) as hostile:
        config = device_config(hostile.devices.fleet, enrolled, tmp_path / "device")
        async with running(config) as device:
            yield Scene(hostile, device, enrolled, other, Signer(key=authoriser.key, chain=list(authoriser.chain)))


def only(ending: str, change: Callable[[bytes], list[bytes]]) -> Callable[[str, bytes], list[tuple[str, bytes]]]:
    """Tamper with messages on topics of this ending, and pass on all others."""

    def tamper(topic: str, payload: bytes) -> list[tuple[str, bytes]]:
        return [(topic, changed) for changed in change(payload)] if topic.endswith(ending) else [(topic, payload)]

    return tamper


def answers(change: Callable[[Answer], bytes]) -> Callable[[bytes], list[bytes]]:
    """Change answers alone: their typ tells them from byes and candidates on the same topic."""

    def apply(payload: bytes) -> list[bytes]:
        message = jws.peek(payload)
        return [change(Answer.parse(message.payload)) if message.typ == jws.typ_of("answer") else payload]

    return apply


async def test_a_broker_that_only_reads_and_passes_on_shows_the_picture(scene: Scene) -> None:
    """The control: all that follows fails for its own reason, and not because nothing works here."""
    watch = await scene.watch()

    assert watch.figures.frames > 15
    assert scene.hostile.heard


def with_fingerprint(answer: Answer, device: EnrolledDevice) -> Answer:
    digest = device.operational.chain[0].fingerprint(device.operational.chain[0].signature_hash_algorithm)
    lines = [
        f"a=fingerprint:sha-256 {digest.hex(':').upper()}" if line.startswith("a=fingerprint:sha-256") else line
        for line in answer.sdp.splitlines()
    ]
    return replace(answer, sdp="\r\n".join(lines) + "\r\n")


async def test_a_swapped_fingerprint_under_the_old_signature_is_not_believed(scene: Scene) -> None:
    def swap(payload: bytes) -> list[bytes]:
        message = jws.peek(payload)
        if message.typ != jws.typ_of("answer"):
            return [payload]
        header, _, signature = payload.split(b".")
        forged = scene.signed_by(scene.other, with_fingerprint(Answer.parse(message.payload), scene.other))
        return [b".".join((header, forged.split(b".")[1], signature))]

    scene.hostile.tamper = only(APP, swap)
    with pytest.raises(NotVerified):
        await scene.watch()


async def test_another_device_under_the_same_root_cannot_pose_as_this_one(scene: Scene) -> None:
    """The attacker owns another camera of the fleet, and answers with its certificate and its key."""
    scene.hostile.tamper = only(
        APP, answers(lambda answer: scene.signed_by(scene.other, with_fingerprint(answer, scene.other)))
    )
    with pytest.raises(NotVerified):
        await scene.watch()


async def test_a_swapped_sdp_is_not_believed(scene: Scene) -> None:
    scene.hostile.tamper = only(
        APP, answers(lambda answer: scene.signed_by(scene.other, replace(answer, sdp="v=0\r\n")))
    )
    with pytest.raises(NotVerified):
        await scene.watch()


async def test_the_answer_to_an_earlier_call_is_no_answer_to_this_one(scene: Scene) -> None:
    key = new_key()
    await scene.watch(key=key)
    stale = next(
        payload
        for topic, payload in scene.hostile.heard
        if topic.endswith(APP) and b"." in payload and jws.peek(payload).typ == jws.typ_of("answer")
    )

    scene.hostile.tamper = only(APP, answers(lambda answer: stale))
    async with scene.watching(seconds=None, key=key) as (watch, task):
        await asyncio.sleep(3)
        assert watch.figures.frames == 0
        assert not task.done()  # it still waits for an answer of its own, and will say that none came


async def test_another_devices_status_calls_nobody(scene: Scene) -> None:
    def lie(payload: bytes) -> list[bytes]:
        status = Status.parse(jws.peek(payload).payload)
        return [scene.signed_by(scene.other, replace(status, challenge=jws.base64url(bytes(16))))]

    scene.hostile.tamper = only("/status", lie)
    scene.device.daemon._link.announce()
    with pytest.raises(NotVerified):
        await scene.watch()
    assert scene.device.opened == 0


async def test_an_old_status_leads_to_a_refusal_and_no_session(scene: Scene) -> None:
    """The device's own status, from before it changed its challenge twice."""
    scene.device.daemon._link.announce()
    await until(lambda: bool(scene.hostile.heard))
    old = last(scene.hostile.heard, "/status")
    for turn in (1, 2):
        scene.device.daemon._gate.rotate(time.time() + turn * 301)
    scene.hostile.tamper = only("/status", lambda payload: [old])
    await scene.hostile.inject(topics.status(scene.enrolled.id), old)

    with pytest.raises(Declined) as refusal:
        await scene.watch()
    assert refusal.value.reason == "expired"
    assert scene.device.opened == 0


async def test_a_replayed_offer_opens_no_second_session(scene: Scene) -> None:
    async with scene.watching(seconds=None) as (watch, _):
        await until(lambda: watch.figures.frames > 0)
        offer = next(payload for topic, payload in scene.hostile.heard if jws.peek(payload).typ == jws.typ_of("offer"))

        for _ in range(5):
            await scene.hostile.inject(topics.call(scene.enrolled.id), offer)
        await asyncio.sleep(0.5)

        assert scene.device.opened == 1
        assert scene.device.sessions == 1


@pytest.mark.parametrize("forger", ["own key", "no key"])
async def test_an_offer_with_another_sdp_opens_no_session(scene: Scene, forger: str) -> None:
    """The attacker wants to be called in the viewer's place, with the viewer's own grant."""

    def swap(payload: bytes) -> list[bytes]:
        message = jws.peek(payload)
        if message.typ != jws.typ_of("offer"):
            return [payload]
        offer = replace(Offer.parse(message.payload), sdp="v=0\r\nmine")
        forged = jws.sign("offer", offer.payload(), key=new_key())
        if forger == "own key":
            return [forged.encode()]
        header, _, signature = payload.split(b".")
        return [b".".join((header, forged.split(".")[1].encode(), signature))]

    scene.hostile.tamper = only("/call", swap)
    async with scene.watching(seconds=None) as (watch, _):
        await until(lambda: scene.device.refused > 0)
        await asyncio.sleep(1)
        assert watch.figures.frames == 0
        assert scene.device.opened == 0


async def test_forged_byes_end_neither_side(scene: Scene) -> None:
    async with scene.watching(seconds=None) as (watch, _):
        await until(lambda: watch.figures.frames > 0)
        answer = Answer.parse(
            next(
                message.payload
                for _, payload in scene.hostile.heard
                if (message := jws.peek(payload)).typ == jws.typ_of("answer")
            )
        )
        bye = Bye(sid=answer.sid, seq=9, reason="left")
        seen = watch.figures.frames

        await scene.hostile.inject(
            topics.call(scene.enrolled.id), jws.sign("bye", bye.payload(), key=new_key()).encode()
        )
        await scene.hostile.inject(topics.reply(scene.enrolled.id, APP), scene.signed_by(scene.other, bye))

        await until(lambda: watch.figures.frames > seen + 30)
        assert scene.device.sessions == 1


async def test_a_broker_that_drops_every_answer_can_do_no_more_than_that(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("viewer.conversation.ANSWER_S", 2.0)
    scene.hostile.tamper = only(APP, lambda payload: [])
    with pytest.raises(NoPicture):
        await scene.watch()


async def test_messages_that_come_twice_and_in_another_order_do_no_harm(scene: Scene) -> None:
    held: list[tuple[str, bytes]] = []

    def shuffle(topic: str, payload: bytes) -> list[tuple[str, bytes]]:
        if not topic.endswith("/call"):
            return [(topic, payload), (topic, payload)]
        held.append((topic, payload))
        return [(topic, payload), *reversed(held)]

    scene.hostile.tamper = shuffle
    watch = await scene.watch()

    assert watch.figures.frames > 15
    assert scene.device.opened == 1


async def held_back(scene: Scene) -> str:
    """Call, and have the attacker keep the offer."""
    kept: list[bytes] = []

    def keep(payload: bytes) -> list[bytes]:
        kept.append(payload)
        return []

    scene.hostile.tamper = only("/call", keep)
    async with scene.watching(seconds=None):
        await until(lambda: bool(kept))
    scene.device.daemon._calls._strangers._bucket = Bucket(Rate(burst=1e9, per_s=0), 0)  # each is to be read
    return next(payload for payload in kept if jws.peek(payload).typ == jws.typ_of("offer")).decode()


async def receive_all(device: RunningDevice, messages: Iterable[str]) -> int:
    """Hand messages to the daemon as its link does, and say how many there were."""
    count = 0
    for count, message in enumerate(messages, 1):
        device.daemon._calls.receive(message.encode())
        if count % 50 == 0:
            await asyncio.sleep(0)
    return count


async def test_an_offer_with_any_member_changed_makes_no_connection(scene: Scene) -> None:
    offer = await held_back(scene)
    variants = list(members_flipped(offer))
    refused = scene.device.refused

    for variant in variants:
        await scene.hostile.inject(topics.call(scene.enrolled.id), variant.encode())
    await until(lambda: scene.device.refused >= refused + len(variants))

    assert len(variants) > 100
    assert (scene.device.opened, scene.device.sessions) == (0, 0)
    await scene.hostile.inject(topics.call(scene.enrolled.id), offer.encode())
    await until(lambda: scene.device.opened == 1)


async def test_an_offer_with_any_byte_changed_makes_no_connection(scene: Scene) -> None:
    offer = await held_back(scene)

    assert await receive_all(scene.device, bytes_flipped(offer)) == len(offer)

    assert (scene.device.opened, scene.device.sessions) == (0, 0)
    await receive_all(scene.device, [offer])
    assert scene.device.opened == 1


async def test_what_is_said_in_a_session_does_nothing_with_any_byte_or_member_changed(scene: Scene) -> None:
    key = new_key()
    caller = Caller(device=scene.enrolled.id, authoriser=scene.authoriser, reply=APP, key=key)
    async with scene.watching(seconds=None, key=key) as (watch, _):
        await until(lambda: watch.figures.frames > 0)
        scene.device.daemon._calls._strangers._bucket = Bucket(Rate(burst=1e9, per_s=0), 0)
        (sid,) = scene.device.daemon._sessions._open
        session, _ = scene.device.daemon._sessions._open[sid]
        revoke = Revoke(device=scene.enrolled.id, iat=int(time.time()), sub="")
        said = [
            caller.sign(Bye(sid=sid, seq=7, reason="left")),
            caller.sign(Renew(sid=sid, seq=7, grant=caller.grant(time.time(), session_s=60))),
            scene.authoriser.sign("revoke", revoke.payload()),
        ]
        for message in said:
            await receive_all(scene.device, bytes_flipped(message))
            await receive_all(scene.device, members_flipped(message))

        assert session._life_s == 3600
        seen = watch.figures.frames
        await until(lambda: watch.figures.frames > seen + 15)
        await receive_all(scene.device, said[1:])
        assert session._life_s == 60
        await until(lambda: scene.device.sessions == 0)


async def test_an_answer_with_any_byte_or_member_changed_is_not_believed(scene: Scene) -> None:
    scene.hostile.tamper = only(APP, lambda payload: [])
    async with scene.watching(seconds=None) as (watch, _):
        await until(lambda: any(topic.endswith(APP) for topic, _ in scene.hostile.heard))
        answer = last(scene.hostile.heard, APP).decode()
        call, believed = watch._conversation._call, []
        for variant in (*members_flipped(answer), *bytes_flipped(answer)):
            with contextlib.suppress(NotVerified):
                believed.append(call.read(variant, datetime.now(UTC)))
            await asyncio.sleep(0)

        assert set(believed) <= {None}
        assert watch.figures.frames == 0
        assert watch.leaf is None
        assert call.read(answer, datetime.now(UTC)) is not None


async def until(condition: Callable[[], bool], within_s: float = 30.0) -> None:
    async with asyncio.timeout(within_s):
        while not condition():
            await asyncio.sleep(0.02)

"""Whole calls in which somebody in between forges: no picture, and nothing in a file."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from protocol import jws
from protocol.certificates import thumbprint
from protocol.messages import Answer, Bye
from tests.viewer.conftest import OTHER, Trust, Wire
from viewer import conversation
from viewer.errors import NoPicture, NotVerified
from viewer.watch import Watch

Make = Callable[..., Watch]


def other_certificate(answer: Answer | Bye, trust: Trust) -> Answer | Bye:
    fingerprint = thumbprint(trust.other.chain[0]).hex(":").upper()
    if isinstance(answer, Bye):
        return answer
    return replace(answer, sdp=re.sub(r"(?<=fingerprint:sha-256 )\S+", fingerprint, answer.sdp))


def attack_by_another_device(wire: Wire, trust: Trust) -> None:
    wire.signer = wire.dtls = trust.other


def attack_by_another_device_under_its_own_name(wire: Wire, trust: Trust) -> None:
    wire.signer = wire.dtls = trust.other
    wire.before_signing = lambda message: replace(message, device=OTHER) if isinstance(message, Answer) else message


def attack_by_a_swapped_fingerprint(wire: Wire, trust: Trust) -> None:
    wire.dtls = trust.other
    wire.before_signing = lambda message: other_certificate(message, trust)


def attack_by_another_hash(wire: Wire, trust: Trust) -> None:
    wire.before_signing = lambda message: (
        replace(message, offer_sha256=jws.sha256("another")) if isinstance(message, Answer) else message
    )


def attack_by_a_changed_answer(wire: Wire, trust: Trust) -> None:
    def change(compact: str) -> str:
        header, payload, signature = compact.split(".")
        return f"{header}.{payload[:-8]}{payload[-8:].swapcase()}.{signature}"

    wire.after_signing = change


@pytest.mark.parametrize(
    "attack",
    [
        attack_by_another_device,
        attack_by_another_device_under_its_own_name,
        attack_by_a_swapped_fingerprint,
        attack_by_another_hash,
    ],
)
async def test_a_forged_answer_ends_the_call_without_a_picture(
    watch: Make, wire: Wire, trust: Trust, tmp_path: Path, attack: Callable[[Wire, Trust], None]
) -> None:
    attack(wire, trust)
    wire.announce()
    watched = watch(seconds=1.0, record=tmp_path / "out.mp4")

    with pytest.raises(NotVerified):
        await watched.run()

    assert watched.figures.frames == 0
    assert not (tmp_path / "out.mp4").exists()


async def test_an_answer_that_was_changed_on_the_way_shows_no_picture(
    watch: Make, wire: Wire, trust: Trust, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(conversation, "ANSWER_S", 1.0)
    attack_by_a_changed_answer(wire, trust)
    wire.announce()
    watched = watch(seconds=1.0)

    with pytest.raises((NotVerified, NoPicture)):
        await watched.run()
    assert watched.figures.frames == 0


async def test_whoever_sits_in_the_middle_of_the_media_shows_no_picture(watch: Make, wire: Wire, trust: Trust) -> None:
    """The answer is the camera's own, and somebody else's certificate is shown in DTLS."""
    wire.dtls = trust.other

    def genuine(message: Answer | Bye) -> Answer | Bye:
        if isinstance(message, Bye):
            return message
        fingerprint = thumbprint(trust.device.chain[0]).hex(":").upper()
        lines = [line for line in message.sdp.splitlines() if not re.match("a=fingerprint:sha-(384|512)", line)]
        sdp = re.sub(r"(?<=fingerprint:sha-256 )\S+", fingerprint, "\r\n".join(lines) + "\r\n")
        return replace(message, sdp=sdp)

    wire.before_signing = genuine
    wire.announce()
    watched = watch(seconds=1.0)

    with pytest.raises(NotVerified, match="encrypted connection"):
        await watched.run()
    assert watched.figures.frames == 0

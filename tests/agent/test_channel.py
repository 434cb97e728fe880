"""What viewers may ask of a camera, whatever they send."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from agent.channel import commands
from agent.webrtc.control import Control
from tests.agent.capture.bench import Bench, running
from tests.agent.capture.scripted import ScriptedAdjustable

CONTROL = frozenset({"live", "control"})


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    async with running(kind=ScriptedAdjustable) as (bench, _):
        await bench.pictures(bench.watch(), 1, within_s=15)
        yield bench


def adjusted(bench: Bench, members: str, scope: frozenset[str] = CONTROL) -> dict[str, Any]:
    """Ask with these members, in JSON."""
    control = Control(commands(bench.camera), scope=lambda: scope, now=0.0)
    return dict(json.loads(control.answer(f'{{"command":"adjust","id":"1",{members}}}', 0.0)))


def controls(bench: Bench) -> list[dict[str, Any]]:
    (source,) = bench.sources
    assert isinstance(source, ScriptedAdjustable)
    return source.controls


@pytest.mark.parametrize(
    ("members", "control"),
    [
        ('"setting":"fps","value":25', {"FrameDurationLimits": [40_000, 40_000]}),
        ('"setting":"fps","value":25.0', {"FrameDurationLimits": [40_000, 40_000]}),
        ('"setting":"focus_dpt","value":2.5', {"AfMode": 0, "LensPosition": 2.5}),
        ('"setting":"focus_dpt","value":null', {"AfMode": 2}),
        ('"setting":"white_balance","value":"cloudy"', {"AwbEnable": True, "AwbMode": 6}),
    ],
)
async def test_what_fits_is_set(bench: Bench, members: str, control: dict[str, Any]) -> None:
    assert adjusted(bench, members) == {"id": "1", "result": {}}
    assert json.loads(json.dumps(controls(bench))) == [control]


@pytest.mark.parametrize(
    "members",
    [
        '"value":1',
        '"setting":"focus_dpt"',
        '"setting":7,"value":1',
        '"setting":"fps","value":true',
        '"setting":"fps","value":{}',
        f'"setting":"fps","value":{"[" * 500}{"]" * 500}',
    ],
)
async def test_what_is_no_setting_with_a_value_is_malformed(bench: Bench, members: str) -> None:
    assert adjusted(bench, members)["error"] == "malformed"
    assert controls(bench) == []


@pytest.mark.parametrize(
    "members",
    [
        '"setting":"fps","value":0',
        '"setting":"fps","value":"30"',
        '"setting":"fps","value":NaN',
        '"setting":"fps","value":-Infinity',
        '"setting":"fps","value":1e308',
        f'"setting":"fps","value":{"9" * 3900}',
        '"setting":"exposure_us","value":99.5',
        '"setting":"exposure_us","value":null',
        '"setting":"white_balance","value":6',
        f'"setting":"white_balance","value":"{"x" * 3000}"',
        '"setting":"zoom","value":2',
        '"setting":"bitrate_bps","value":1',
        '"setting":"rtsp_login","value":null',
        '"setting":"\\ud800\\u0000","value":"\\ud800"',
    ],
)
async def test_what_the_camera_cannot_do_is_unfit_and_says_why(bench: Bench, members: str) -> None:
    answer = adjusted(bench, members)

    assert answer["error"] == "unfit"
    assert answer["message"].startswith("camera.")
    assert len(answer["message"]) <= 250
    assert controls(bench) == []


async def test_without_the_scope_nothing_is_set(bench: Bench) -> None:
    assert adjusted(bench, '"setting":"fps","value":25', frozenset({"live"}))["error"] == "forbidden"
    assert controls(bench) == []

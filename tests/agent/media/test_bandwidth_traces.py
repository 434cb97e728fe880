"""What the estimate makes of feedback that real receivers sent.

A trace is JSON lines in the order of things: seconds, and then "sent" with number, packets and bytes each, "feedback"
with the FCI in hex, or "probe" where the packets that follow were a cluster.
`chromium-*`: this agent to Debian's Chromium 156 over a link of tests/kit/link.py, each as a viewer of its own; weak is
2 Mbit/s, 50 ms and 2 % loss up to second 11.6, then 20 Mbit/s; good is 100 Mbit/s and 5 ms.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from agent.media import transport_cc
from agent.media.bandwidth import Bandwidth
from tests.kit.modelled_link import Link, World

TRACES = Path(__file__).parent / "traces"
FULL = 4_000_000
OPENED_S = 11.6


def _read(name: str) -> list[list[Any]]:
    return [json.loads(line) for line in (TRACES / f"{name}.jsonl").read_text().splitlines()]


def _replayed(trace: list[list[Any]]) -> list[tuple[float, int]]:
    bandwidth = Bandwidth(start_bps=FULL, min_bps=50_000, max_bps=FULL)
    estimates = list[tuple[float, int]]()
    settles_at = 0.0
    for at, kind, *rest in trace:
        if at >= settles_at:  # as `adaptation.py` has it
            bandwidth.settle()
            settles_at = at // 0.25 * 0.25 + 0.25
        if kind == "sent":
            number, packets, size_bytes = rest
            bandwidth.sent(number, packets, size_bytes, at)
        elif kind == "probe":
            bandwidth.probe(at)
        else:
            bandwidth.feedback(bytes.fromhex(rest[0]), at)
        if bandwidth.estimate_bps is not None:
            estimates.append((at, bandwidth.estimate_bps))
    return estimates


@pytest.mark.parametrize("name", ["chromium-weak-then-open", "chromium-good"])
def test_all_that_chromium_reports_as_arrived_had_been_sent(name: str) -> None:
    sent, reported = set[int](), 0
    for _, kind, *rest in _read(name):
        if kind == "sent":
            sent |= {number & 0xFFFF for number in range(rest[0], rest[0] + rest[1])}
        elif kind == "feedback":
            said = transport_cc.parse(bytes.fromhex(rest[0]))
            places = range(said.count)
            arrived = {said.base + place & 0xFFFF for place in places if said.received >> said.count - 1 - place & 1}
            assert arrived <= sent
            reported += len(arrived)

    assert reported > 0.75 * len(sent)  # the weak link's queue is full for its first second


def test_a_weak_link_is_found_within_a_second_and_the_open_one_by_its_probes() -> None:
    estimates = _replayed(_read("chromium-weak-then-open"))

    assert next(at for at, bps in estimates if bps < 2_000_000) < 1.0
    weak = [bps for at, bps in estimates if 1.0 < at < OPENED_S]
    assert 1_500_000 < min(weak) < max(weak) < 2_000_000
    assert next(at for at, bps in estimates if bps == FULL and at > OPENED_S) < OPENED_S + 5
    assert estimates[-1][1] == FULL


def test_a_good_link_shows_nothing_to_lower_the_estimate_for() -> None:
    assert {bps for _, bps in _replayed(_read("chromium-good"))} == {FULL}


def test_a_replay_says_what_was_said_when_it_was_recorded() -> None:
    bandwidth = Bandwidth(start_bps=FULL, min_bps=50_000, max_bps=FULL)
    world = World(bandwidth, {0.0: Link(rate_bps=2e6, loss=0.02), 10.0: Link()}, probes=False)
    world.run(20)
    trace = [
        [at, "feedback", what.hex()] if isinstance(what, bytes) else [at, "sent", *what] for at, what in world.recorded
    ]

    assert _replayed(trace)[-1][1] == bandwidth.estimate_bps

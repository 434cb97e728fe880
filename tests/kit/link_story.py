"""What becomes of a viewer behind a link that is weak and then opens, and of another one on a good link."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.kit.link_path import Conditions
from tests.kit.link_scene import BITRATE_BPS, FPS, HEIGHT, OPEN, WEAK, WIDTH, Watching, scene
from tests.kit.link_viewer import Sample, bitrate_bps, fps

SETTLE_S = 5.0  # what a camera may take to find out what the link carries
BACK_S = 15.0  # what it may take to find out that it carries more
AFTER_S = 5.0
SPAN_S = 2.0  # over which rates are taken: shorter ones show the encoder's ups and downs
FULL = 0.8  # the share of bitrate and frame rate that counts as full on a busy machine


@dataclass(frozen=True, slots=True, kw_only=True)
class Second:
    """One second of the story; rates are of the weak viewer where nothing else is said."""

    offered_bps: int  # what the camera sent into the link
    received_bps: int
    fps: float
    width: int
    queued_s: float  # the longest wait in the link's queue
    good_bps: int
    good_fps: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How it went. Times are in seconds: after the weak viewer's call, after its link was weak, after it opened."""

    first_picture_s: float | None
    settled_s: (
        float  # how long the link had been weak when the camera sent more than the link carries for the last time
    )
    most_offered_bps: float  # from SETTLE_S on, while the link is weak, over SPAN_S
    received_bps: float  # in that time
    queued_s: float  # the longest wait in the link's queue in that time
    dropped: int  # packets that found it full in that time
    longest_freeze_s: float  # from SETTLE_S to the end
    longest_pause_s: float  # likewise, to two tenths of a second
    worst_freeze_s: float  # from the first picture on, or since the link is weak
    back_s: float | None  # how long the link had been open when the weak viewer had full quality for good
    good_least_bps: float
    good_least_fps: float
    good_least_width: int
    good_longest_freeze_s: float
    seconds: list[Second]


async def story(
    directory: Path,
    *,
    open_first: bool,
    weak_s: float = 25.0,
    weak_link: Conditions = WEAK,
    open_link: Conditions = OPEN,
) -> Outcome:
    """Let both call, the good one first; one link is weak for `weak_s`, from the call on or a little later."""
    async with scene(directory, open_link if open_first else weak_link) as (weak, good):
        undisturbed = await good.call() + SETTLE_S
        await asyncio.sleep(SETTLE_S)
        weakened = called = await weak.call()
        if open_first:
            await asyncio.sleep(SETTLE_S)
            weak.link.change(to_near=weak_link, to_far=weak_link)
            weakened = weak.entered[-1][0]
        await asyncio.sleep(weak_s)
        weak.link.change(to_near=open_link, to_far=open_link)
        opened = weak.entered[-1][0]
        await asyncio.sleep(BACK_S + AFTER_S)
        await asyncio.gather(weak.viewer.read(), good.viewer.read())
        end = weak.entered[-1][0]
    settled = weakened + SETTLE_S
    good_spans = list(good.viewer.spans(undisturbed, end, SPAN_S))
    return Outcome(
        first_picture_s=next((sample.at_s - called for sample in weak.viewer.samples if sample.pictures), None),
        settled_s=_last_excess(weak, weakened, opened, weak_link.rate_bps) - weakened,
        most_offered_bps=max(weak.offered_bps(*span) for span in _times(settled, opened, SPAN_S)),
        received_bps=bitrate_bps(weak.viewer.between(settled, opened)),
        queued_s=weak.queued_s(settled, opened),
        dropped=weak.dropped(settled, opened),
        longest_freeze_s=weak.viewer.longest_freeze_s(settled, end),
        longest_pause_s=weak.viewer.longest_pause_s(settled, end),
        worst_freeze_s=weak.viewer.longest_freeze_s(weakened, end),
        back_s=_full_from(weak, opened, end),
        good_least_bps=min(map(bitrate_bps, good_spans)),
        good_least_fps=min(map(fps, good_spans)),
        good_least_width=min(sample.width for sample in good.viewer.between(undisturbed, end)),
        good_longest_freeze_s=good.viewer.longest_freeze_s(undisturbed, end),
        seconds=[_second(weak, good, *span) for span in _times(called, end, 1.0, step_s=1.0)],
    )


def _times(begin_s: float, end_s: float, span_s: float, step_s: float = 0.1) -> Iterator[tuple[float, float]]:
    for step in range(int((end_s - begin_s - span_s) / step_s) + 1):
        yield begin_s + step * step_s, begin_s + step * step_s + span_s


def _last_excess(weak: Watching, begin_s: float, end_s: float, rate_bps: float) -> float:
    """The end of the last second in which more was sent than the link carries; `begin_s` when there was none."""
    excess = [span[1] for span in _times(begin_s, end_s, 1.0) if weak.offered_bps(*span) > rate_bps]
    return max(excess, default=begin_s)


def _full_from(weak: Watching, opened: float, end: float) -> float | None:
    """How long after `opened` every span from then on had full quality."""
    back = None
    for span in reversed(list(weak.viewer.spans(opened, end, SPAN_S))):
        if not _is_full(span):
            break
        back = span[0].at_s - opened
    return back


def _is_full(span: list[Sample]) -> bool:
    return (
        all((sample.width, sample.height) == (WIDTH, HEIGHT) for sample in span)
        and bitrate_bps(span) >= FULL * BITRATE_BPS
        and fps(span) >= FULL * FPS
    )


def _second(weak: Watching, good: Watching, begin_s: float, end_s: float) -> Second:
    samples, good_samples = weak.viewer.between(begin_s, end_s), good.viewer.between(begin_s, end_s)
    seen = len(samples) > 1
    return Second(
        offered_bps=round(weak.offered_bps(begin_s, end_s)),
        received_bps=round(bitrate_bps(samples)) if seen else 0,
        fps=round(fps(samples), 1) if seen else 0.0,
        width=samples[-1].width if seen else 0,
        queued_s=round(weak.queued_s(begin_s, end_s), 3),
        good_bps=round(bitrate_bps(good_samples)),
        good_fps=round(fps(good_samples), 1),
    )

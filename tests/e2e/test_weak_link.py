"""A viewer behind a weak link gets what the link carries, and nobody else notices."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.kit.link import needs_root
from tests.kit.link_scene import BITRATE_BPS, FPS, WEAK, WIDTH
from tests.kit.link_story import BACK_S, FULL, SETTLE_S, story

pytestmark = [pytest.mark.broker, pytest.mark.browser, pytest.mark.alone, needs_root, pytest.mark.timeout(180)]


@pytest.mark.parametrize("open_first", [False, True], ids=["from the call on", "while it is watched"])
async def test_a_weak_link_slows_its_own_viewer_alone_and_only_while_it_is_weak(
    tmp_path: Path, open_first: bool
) -> None:
    outcome = await story(tmp_path, open_first=open_first)

    assert outcome.first_picture_s is not None
    assert outcome.first_picture_s < SETTLE_S
    assert outcome.most_offered_bps <= WEAK.rate_bps
    assert outcome.longest_freeze_s <= 0.5
    assert outcome.longest_pause_s <= 0.7  # as seen ten times a second
    assert outcome.worst_freeze_s <= 2  # while it settles: Chromium, left waiting for a packet, asks anew after 3 s
    assert outcome.back_s is not None
    assert outcome.back_s <= BACK_S

    assert outcome.good_least_bps >= FULL * BITRATE_BPS
    assert outcome.good_least_fps >= FULL * FPS
    assert outcome.good_least_width == WIDTH
    assert outcome.good_longest_freeze_s <= 0.5

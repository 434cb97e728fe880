from __future__ import annotations

from agent.media.pacing import AHEAD_S, HEADROOM, HEALTHY_BPS, Pacer, pace_bps


def _sent(size_bytes: int, rate_bps: float, chunk: int = 1_200) -> list[tuple[float, int]]:
    """Send so much as soon as the pacer lets it; give what left when."""
    pacer, now, left = Pacer(), 10.0, list[tuple[float, int]]()
    while size_bytes > 0:
        room = pacer.room(rate_bps, now)
        if room <= 0:
            assert pacer.next_at() > now
            now = pacer.next_at()
            continue
        step = min(size_bytes, max(chunk, room))
        pacer.sent(step, rate_bps, now)
        left.append((now - 10.0, step))
        size_bytes -= step
    return left


def test_all_but_a_keyframe_leaves_at_once() -> None:
    assert _sent(24_000, HEALTHY_BPS) == [(0.0, 24_000)]


def test_a_keyframe_is_spread_over_most_of_a_picture_s_time() -> None:
    left = _sent(150_000, HEALTHY_BPS)

    assert 0.02 < left[-1][0] < 0.033
    assert max(size for _, size in left) <= AHEAD_S * HEALTHY_BPS / 8


def test_a_weak_viewer_is_paced_by_what_its_link_takes() -> None:
    rate_bps = pace_bps(1_000_000, 4_000_000)
    left = _sent(100_000, rate_bps)

    assert rate_bps == HEADROOM * 1_000_000
    assert left[-1][0] > 0.9 * 100_000 * 8 / rate_bps - AHEAD_S
    assert max(size for _, size in left) <= 1_600


def test_a_viewer_whose_link_takes_the_stream_is_not_slowed() -> None:
    assert pace_bps(None, 4_000_000) == pace_bps(4_000_000, 4_000_000) == HEALTHY_BPS

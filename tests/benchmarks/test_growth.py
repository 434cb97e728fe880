"""What a run that adds viewers says of its end."""

from dataclasses import replace

from benchmarks.growth import Step, idle_s, why

STEP = Step(
    viewers=180,
    cores=0.7,
    receiver_cores=0.6,
    idle_cores=0.5,
    rss_mb=160.0,
    lost=3,
    fps=29.1,
    late=4,
    unread=0,
    unsent=0,
)


def test_it_says_how_many_viewers_were_too_many_and_what_they_missed() -> None:
    assert why(STEP) == ("with 180 viewers 4 got fewer than 29.9 fps and 3 packets were lost: nothing was at its limit")


def test_it_names_all_that_was_at_its_limit() -> None:
    full = replace(STEP, cores=0.96, receiver_cores=1.01, idle_cores=0.03, unread=5, unsent=7)

    reasons = why(full)

    assert "lost: the agent's thread is full (0.96 of a core), the machine's " in reasons
    assert "cores are full (agent 0.96, receiver 1.01, idle 0.03), " in reasons
    assert (
        "the receiver left 5 datagrams unread at 1.01 cores, full sockets of the agent refused 7 datagrams" in reasons
    )


def test_idle_time_never_runs_backwards() -> None:
    before = idle_s()

    assert 0 < before <= idle_s()

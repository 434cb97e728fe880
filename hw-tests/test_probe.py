"""What `camward probe` says of this board is what is really there."""

from __future__ import annotations

from tests.agent.probe.test_probe import *  # noqa: F403  # collected here, fixtures and all

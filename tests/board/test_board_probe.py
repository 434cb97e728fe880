"""What `camward probe` says on the virtual board: its cameras, and that one of them would be taken.

In this process and not as a command, because the workarounds for the virtual pipeline are in this one.
"""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from agent.probe.gather import report

pytestmark = pytest.mark.board


def test_a_probe_sees_libcamera_s_cameras_and_the_agent_would_take_the_first() -> None:
    found = report(
        Path("/nowhere/agent.toml"), quick=True, released=datetime(2026, 1, 1, tzinfo=UTC), say=lambda _: None
    )

    libcamera = found.facts.libcamera
    assert (libcamera.seen_by, libcamera.problem) == ("picamera2", None)
    assert len(libcamera.sensors) == 2
    assert found.choice.real
    assert found.choice.source is not None
    assert found.choice.source.startswith(f"picamera {libcamera.sensors[0].model} ")
    assert (found.choice.encoder, found.choice.encoder_kind) == ("libx264", "software")

"""Whether the hot path is compiled, and that it is not where nobody asked for it."""

from __future__ import annotations

from pathlib import Path

from agent import hot_path

ROOT = Path(__file__).parents[2]


def test_the_working_tree_runs_what_is_written_in_it() -> None:
    assert hot_path.HOW == "plain"
    assert list((ROOT / "agent").rglob("*.so")) == []

"""Order and tools of all tests: the fast first, then those with a real broker, then those with a real browser."""

from __future__ import annotations

import pytest

_LATER = ("broker", "browser")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Sort by what a test drives; within that, the order stays."""
    items.sort(
        key=lambda item: max(
            (_LATER.index(mark.name) + 1 for mark in item.iter_markers() if mark.name in _LATER), default=0
        )
    )

"""What lasts is not looked at again, and what viewers leave behind is freed."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Iterator

import pytest

from agent.service import memory


class Connection:
    def __init__(self) -> None:
        self.transport = self  # as the parts of a connection refer to one another


@pytest.fixture
def no_collection_by_itself() -> Iterator[None]:
    gc.disable()
    yield
    gc.enable()
    gc.unfreeze()


def test_what_viewers_leave_behind_is_freed(no_collection_by_itself: None) -> None:
    left = weakref.ref(Connection())
    assert left() is not None

    memory.give_back()

    assert left() is None


def test_what_is_there_when_the_program_has_come_up_is_never_looked_at_again(no_collection_by_itself: None) -> None:
    lasting = [[] for _ in range(1000)]

    memory.settle()

    assert gc.get_freeze_count() > len(lasting)
    assert not any(thing is lasting for thing in gc.get_objects())

"""Every kept case, and what hypothesis makes of them, at every door: what `make fuzz` does for minutes, in seconds."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.fuzz.judge import Judge
from tests.fuzz.target import NAMES, Target, load, seeds


@pytest.mark.parametrize("name", NAMES)
def test_every_kept_case_gets_no_more_than_a_refusal(name: str) -> None:
    judge = Judge(load(name))

    for path in seeds(name):
        judge.take(path.read_bytes())

    assert judge.cases > 1


@pytest.mark.parametrize("name", NAMES)
@given(data=st.data())
@settings(max_examples=50, deadline=None)
def test_what_is_cut_doubled_and_spliced_gets_no_more_than_a_refusal(name: str, data: st.DataObject) -> None:
    target = load(name)
    case = data.draw(_spliced([path.read_bytes() for path in seeds(name)], target))

    Judge(target).take(case)


@st.composite
def _spliced(draw: st.DrawFn, kept: list[bytes], target: Target) -> bytes:
    """A kept case with up to eight pieces taken out, repeated, overwritten, or put in from another or the grammar."""
    case = draw(st.sampled_from(kept))
    for _ in range(draw(st.integers(1, 8))):
        start = draw(st.integers(0, len(case)))
        end = start + draw(st.integers(0, 64))
        other = draw(st.sampled_from(kept))
        at = draw(st.integers(0, len(other)))
        piece = draw(
            st.sampled_from([case[start:end] * 2, case[start:end] * 40, other[at : at + 64], *target.tokens])
            | st.binary(max_size=8)
        )
        case = case[:start] + piece + case[end:]
    return case[: target.most_bytes]

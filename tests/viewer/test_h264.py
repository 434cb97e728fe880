"""What a viewer reads of H.264."""

from __future__ import annotations

from fractions import Fraction

import pytest

from tests.viewer.conftest import pictures
from viewer.h264 import describe, is_keyframe


def test_a_keyframe_has_its_parameter_sets_before_it() -> None:
    keyframe, other, *_ = pictures(Fraction(30), 3)

    assert is_keyframe(keyframe.data)
    assert not is_keyframe(other.data)
    assert not is_keyframe(keyframe.data[keyframe.data.index(b"\x00\x00\x01\x65") :])
    assert not is_keyframe(b"")


@pytest.mark.parametrize(("width", "height"), [(320, 180), (1280, 720), (1920, 1080)])
def test_the_size_is_read_from_a_keyframe(width: int, height: int) -> None:
    (keyframe,) = pictures(Fraction(30), 1, width=width, height=height)

    described = describe(keyframe.data)

    assert described is not None
    assert (described.codec_context.width, described.codec_context.height) == (width, height)


def test_what_is_no_h264_has_no_size() -> None:
    assert describe(b"\x00\x00\x00\x01\x67\x00\x00\x00\x01\x68\x00\x00\x00\x01\x65" + bytes(100)) is None
    assert describe(b"") is None

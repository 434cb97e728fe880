from __future__ import annotations

import itertools
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.media import annexb
from agent.media.access_unit import byte_stream
from agent.media.annexb import Assembler, MalformedH264

# Of a real camera stream: 1280x720, Main 3.1.
SPS = bytes.fromhex("674d401fda014016ec0440000003004000000c83c60ca8")
PPS = bytes.fromhex("68ef3c80")
IDR = bytes.fromhex("6588821f8edb1c643e81df8bf1c6")
P_SLICE = bytes.fromhex("419a1c8edb1c643e81df8b")  # first_mb 0, slice_type 5
B_SLICE = bytes.fromhex("019e1c8edb1c643e81df8b")  # first_mb 0, slice_type 6
DELIMITER = bytes.fromhex("09f0")
FILLER = bytes.fromhex("0cffff80")


def _escaped(kind: int, payload: bytes) -> bytes:
    """Make a NAL unit of any payload, with emulation prevention as an encoder does it."""
    out, zeros = bytearray([kind]), 0
    for byte in payload:
        if zeros >= 2 and byte <= 3:
            out.append(3)
            zeros = 0
        out.append(byte)
        zeros = zeros + 1 if byte == 0 else 0
    return bytes(out).rstrip(b"\x00") + (b"\x80" if out[-1] == 0 else b"")


nal = st.builds(_escaped, st.sampled_from([0x41, 0x65, 0x06]), st.binary(max_size=60))
nals = st.lists(nal, min_size=1, max_size=8)


@given(nals)
def test_what_is_joined_to_annex_b_splits_into_the_same_nal_units(units: list[bytes]) -> None:
    assert list(annexb.nal_units(byte_stream(units))) == units


@given(nals, st.lists(st.integers(0, 4), min_size=8, max_size=8))
def test_start_codes_of_any_length_and_padding_split_the_same(units: list[bytes], zeros: list[int]) -> None:
    data = b"".join(b"\x00" * n + b"\x00\x00\x01" + unit for n, unit in zip(zeros, units, strict=False))

    assert list(annexb.nal_units(data + b"\x00\x00")) == units


@given(nals, st.sampled_from([1, 2, 4]))
def test_an_avcc_sample_splits_into_its_nal_units(units: list[bytes], length_bytes: int) -> None:
    sample = b"".join(len(unit).to_bytes(length_bytes, "big") + unit for unit in units)

    assert list(annexb.avcc_units(sample, length_bytes)) == units


@given(st.binary(max_size=200))
def test_any_bytes_give_nal_units_or_the_typed_error_and_nothing_else(data: bytes) -> None:
    for split in (annexb.nal_units, lambda given: annexb.avcc_units(given, 4)):
        try:
            units = list(split(data))
            Assembler().access_unit(units, 0)
            [annexb.is_b_slice(unit) for unit in units]
        except MalformedH264:
            continue
        assert all(units)


@given(st.binary(max_size=200))
def test_any_bytes_give_an_avc_configuration_or_the_typed_error(data: bytes) -> None:
    try:
        config = annexb.avc_config(b"\x01" + data)
    except MalformedH264:
        return
    assert 1 <= config.length_bytes <= 4


def test_an_avcc_record_gives_its_parameter_sets_and_length_size() -> None:
    record = bytes([1, 0x4D, 0x40, 0x1F, 0xFF, 0xE1]) + len(SPS).to_bytes(2, "big") + SPS
    record += bytes([1]) + len(PPS).to_bytes(2, "big") + PPS

    config = annexb.avc_config(record)

    assert config.parameter_sets == (SPS, PPS)
    assert config.length_bytes == 4
    for cut in range(len(record)):
        with pytest.raises(MalformedH264):
            annexb.avc_config(record[:cut])


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "no start code"),
        (b"\x65\x88\x00\x00\x01\x65", "no start code"),
        (b"\x00\x00\x01", "empty NAL unit"),
        (b"\x00\x00\x01\x00\x00\x01\x65", "empty NAL unit"),
        (b"\x00\x00\x01\xe5\x88", "forbidden bit"),
    ],
)
def test_broken_annex_b_is_refused_with_its_reason(data: bytes, reason: str) -> None:
    with pytest.raises(MalformedH264, match=reason):
        list(annexb.nal_units(data))


def test_an_avcc_length_that_reaches_beyond_the_sample_is_refused() -> None:
    with pytest.raises(MalformedH264, match="reaches beyond"):
        list(annexb.avcc_units(b"\x00\x00\x00\x09" + IDR[:8], 4))


def test_b_slices_are_told_from_the_others() -> None:
    assert annexb.is_b_slice(B_SLICE)
    assert not any(map(annexb.is_b_slice, (P_SLICE, IDR, SPS, PPS)))


@given(st.integers(0, 8159), st.integers(0, 9), st.integers(0, 0xFFFF))
def test_the_type_of_a_slice_is_read_wherever_it_begins(first_macroblock: int, slice_type: int, rest: int) -> None:
    numbers = (f"{number + 1:b}" for number in (first_macroblock, slice_type))
    bits = "".join("0" * (len(number) - 1) + number for number in numbers) + f"{rest:016b}"
    bits = bits.ljust(-(-len(bits) // 8) * 8, "1")
    body = re.sub(rb"\0\0(?=[\0-\3])", b"\0\0\3", int(bits, 2).to_bytes(len(bits) // 8, "big"))

    assert annexb.is_b_slice(b"\x41" + body) == (slice_type % 5 == 1)


def test_parameter_sets_are_put_before_each_idr_that_lacks_them() -> None:
    assembler = Assembler()
    first = assembler.access_unit([SPS, PPS, IDR], 0)
    between = assembler.access_unit([P_SLICE], 1)
    later = assembler.access_unit([IDR], 2)

    assert first is not None
    assert between is not None
    assert later is not None
    assert first.keyframe
    assert not between.keyframe
    assert later.keyframe
    assert first.units == (SPS, PPS, IDR)
    assert between.units == (P_SLICE,)
    assert later.units == first.units


def test_a_new_parameter_set_takes_the_old_ones_place_also_when_it_comes_alone() -> None:
    assembler = Assembler([SPS, PPS])
    newer = bytes.fromhex("68ee3c80")

    assert assembler.access_unit([newer], 0) is None

    unit = assembler.access_unit([IDR], 0)
    assert unit is not None
    assert unit.units == (SPS, newer, IDR)


def test_delimiters_and_filler_are_left_out() -> None:
    unit = Assembler().access_unit([DELIMITER, SPS, PPS, IDR, FILLER], 0)

    assert unit is not None
    assert unit.units == (SPS, PPS, IDR)


def test_nothing_comes_out_before_the_first_idr_with_its_parameter_sets() -> None:
    assembler = Assembler()

    assert assembler.access_unit([P_SLICE], 0) is None
    assert assembler.access_unit([IDR], 1) is None
    assert assembler.access_unit([SPS, IDR], 2) is None
    assert assembler.access_unit([P_SLICE], 3) is None
    assert assembler.access_unit([PPS, IDR], 4) is not None


@given(st.lists(st.integers(-(10**9), 10**12), min_size=2, max_size=30))
def test_pts_rises_strictly_whatever_the_driver_says(stamps: list[int]) -> None:
    assembler = Assembler([SPS, PPS])

    units = [assembler.access_unit([IDR], stamp) for stamp in stamps]

    out = [unit.pts_us for unit in units if unit is not None]
    assert len(out) == len(stamps)
    assert all(before < after for before, after in itertools.pairwise(out))
    assert out[0] == stamps[0]

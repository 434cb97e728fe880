from __future__ import annotations

import contextlib

import pytest
from aiortc.rtp import (
    RtcpByePacket,
    RtcpPsfbPacket,
    RtcpReceiverInfo,
    RtcpRrPacket,
    RtcpRtpfbPacket,
    RtcpSdesPacket,
    RtcpSenderInfo,
    RtcpSourceInfo,
    RtcpSrPacket,
    pack_remb_fci,
)
from hypothesis import given
from hypothesis import strategies as st

from agent.media.rtcp import (
    MOST_LOST,
    KeyframeRequest,
    MalformedRtcp,
    Nack,
    ReferenceTime,
    Remb,
    Report,
    TransportFeedback,
    delay_since,
    parse,
)

BLOCK = RtcpReceiverInfo(
    ssrc=7, fraction_lost=64, packets_lost=3, highest_sequence=9, jitter=1, lsr=0x12345678, dlsr=65536 // 2
)
RECEIVER = bytes(RtcpRrPacket(ssrc=1, reports=[BLOCK]))
SENDER = bytes(
    RtcpSrPacket(
        ssrc=1,
        sender_info=RtcpSenderInfo(ntp_timestamp=1, rtp_timestamp=2, packet_count=3, octet_count=4),
        reports=[BLOCK],
    )
)
NAMES = bytes(RtcpSdesPacket(chunks=[RtcpSourceInfo(ssrc=1, items=[(1, b"somebody")])]))


def _nack(lost: list[int]) -> bytes:
    return bytes(RtcpRtpfbPacket(fmt=1, ssrc=1, media_ssrc=7, lost=lost))


@pytest.mark.parametrize("data", [RECEIVER, SENDER, RECEIVER + NAMES])
def test_reports_say_what_share_was_lost_and_when_ours_came(data: bytes) -> None:
    assert list(parse(data)) == [Report(ssrc=7, fraction_lost=0.25, lsr=0x12345678, dlsr_s=0.5)]


def test_a_compound_is_read_in_its_order() -> None:
    keyframe = bytes(RtcpPsfbPacket(fmt=1, ssrc=1, media_ssrc=7))
    remb = bytes(RtcpPsfbPacket(fmt=15, ssrc=1, media_ssrc=0, fci=pack_remb_fci(1_500_000, [7])))

    _, lost, asked, rate = parse(RECEIVER + NAMES + _nack([5, 6, 30]) + keyframe + remb)

    assert lost == Nack(7, (5, 6, 30))
    assert asked == KeyframeRequest(7, "pli")
    assert isinstance(rate, Remb)
    assert rate.bitrate_bps == pytest.approx(1_500_000, rel=0.001)


def test_a_fir_names_its_stream_in_its_entry() -> None:
    entry = (7).to_bytes(4, "big") + bytes([1, 0, 0, 0])

    assert list(parse(bytes(RtcpPsfbPacket(fmt=4, ssrc=1, media_ssrc=0, fci=entry)))) == [KeyframeRequest(7, "fir")]


def test_transport_wide_feedback_is_handed_on_as_it_is() -> None:
    packet = bytes.fromhex("8fcd0004 00000001 00000007 deadbeef 01020304")

    assert list(parse(packet)) == [TransportFeedback(bytes.fromhex("deadbeef 01020304"))]


# RFC 3611, section 4.4, as Chromium sends it behind an empty receiver report; and a block of another kind.
REFERENCE_TIME = "04000002 eb06c87d 9f1a2b3c"
LOST_RUNS = "01000002 11223344 00000000"


@pytest.mark.parametrize("blocks", [REFERENCE_TIME, LOST_RUNS + REFERENCE_TIME])
def test_a_viewers_clock_is_found_among_the_blocks_of_an_extended_report(blocks: str) -> None:
    body = bytes.fromhex("11223344" + blocks)
    packet = bytes.fromhex("80cf") + (len(body) // 4).to_bytes(2, "big") + body

    assert list(parse(bytes.fromhex("80c90001 11223344") + packet)) == [ReferenceTime(0x11223344, 0xC87D9F1A)]


def test_the_answer_repeats_a_viewers_clock_and_says_how_long_it_lay_here() -> None:
    asked = ReferenceTime(ssrc=0x11223344, ntp_middle=0xC87D9F1A)

    assert delay_since(asked, 0.25, 0xAABBCCDD) == bytes.fromhex(
        "80cf0005 aabbccdd 05000003 11223344 c87d9f1a 00004000"
    )


def test_what_means_nothing_to_a_sender_is_passed_over() -> None:
    unknown = bytes.fromhex("80d00001 00000001")

    assert list(parse(NAMES + bytes(RtcpByePacket(sources=[1])) + unknown)) == []


@given(st.sets(st.integers(0, 0xFFFF), min_size=1, max_size=100))
def test_every_number_that_is_asked_for_is_read(lost: set[int]) -> None:
    (nack,) = parse(_nack(sorted(lost)))

    assert isinstance(nack, Nack)
    assert set(nack.lost) == lost


def test_padding_is_no_part_of_what_is_said() -> None:
    padded = bytes.fromhex("a1cd0004 00000001 00000007 00050000 00000004")

    assert list(parse(padded)) == [Nack(7, (5,))]


def test_a_nack_for_everything_is_bounded() -> None:
    (nack,) = parse(bytes.fromhex("81cd03ea 00000001 00000007") + bytes.fromhex("0000ffff") * 1000)

    assert isinstance(nack, Nack)
    assert len(nack.lost) == MOST_LOST


@pytest.mark.parametrize(
    "data",
    [
        b"\x80",
        RECEIVER[:-1],
        b"\x40" + RECEIVER[1:],  # version 1
        bytes([0x9F]) + RECEIVER[1:],  # more blocks than there are
        bytes.fromhex("81cd0000 00000001"),  # a length of nothing
        bytes.fromhex("a1c90001 00000000"),  # padding of no bytes
        bytes.fromhex("a1c90001 000000ff"),  # more padding than packet
    ],
)
def test_what_is_malformed_is_told(data: bytes) -> None:
    with pytest.raises(MalformedRtcp):
        list(parse(data))


@given(st.binary(max_size=300), st.integers(0, 400), st.integers(0, 255))
def test_no_bytes_do_anything_else(data: bytes, at: int, value: int) -> None:
    changed = bytearray(RECEIVER + NAMES + _nack([1, 2, 3]) + data)
    changed[at % len(changed)] = value

    for candidate in (data, bytes(changed)):
        with contextlib.suppress(MalformedRtcp):
            for _ in parse(candidate):
                pass

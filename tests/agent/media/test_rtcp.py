"""Reports as other projects write them, and whatever else a viewer may send."""

from __future__ import annotations

import pytest
from aiortc.rtp import (
    RTCP_PSFB_APP,
    RTCP_PSFB_FIR,
    RTCP_PSFB_PLI,
    RTCP_RTPFB_NACK,
    AnyRtcpPacket,
    RtcpByePacket,
    RtcpPacket,
    RtcpPsfbPacket,
    RtcpReceiverInfo,
    RtcpRrPacket,
    RtcpRtpfbPacket,
    RtcpSdesPacket,
    RtcpSenderInfo,
    RtcpSourceInfo,
    RtcpSrPacket,
    pack_remb_fci,
    pack_rtcp_packet,
)
from hypothesis import given
from hypothesis import strategies as st

from agent.media import rtcp
from agent.media.rtcp import KeyframeRequest, MalformedRtcp, Nack, Remb, Report, TransportFeedback

_OURS, _THEIRS = 0xCAFE0001, 0xBEEF0002


def _block(ssrc: int, *, fraction_lost: int = 0, lsr: int = 0, dlsr: int = 0) -> RtcpReceiverInfo:
    return RtcpReceiverInfo(
        ssrc=ssrc, fraction_lost=fraction_lost, packets_lost=-1, highest_sequence=70_000, jitter=9, lsr=lsr, dlsr=dlsr
    )


def _fields(feedback: rtcp.Feedback) -> tuple[object, ...]:
    return type(feedback), *(getattr(feedback, name) for name in feedback.__match_args__)


_SENDER = RtcpSenderInfo(ntp_timestamp=1 << 63, rtp_timestamp=1, packet_count=2, octet_count=3)
_NAME = RtcpSdesPacket(chunks=[RtcpSourceInfo(ssrc=_THEIRS, items=[(1, b"viewer")])])
_PLI = RtcpPsfbPacket(fmt=RTCP_PSFB_PLI, ssrc=_THEIRS, media_ssrc=_OURS)


def test_a_receiver_report_says_what_was_lost_and_when_our_report_came() -> None:
    packet = RtcpRrPacket(
        ssrc=_THEIRS, reports=[_block(_OURS, fraction_lost=64, lsr=0x12345678, dlsr=98_304), _block(7)]
    )

    ours, other = rtcp.parse(bytes(packet))

    assert _fields(ours) == (Report, _OURS, 0.25, 0x12345678, 1.5)
    assert _fields(other) == (Report, 7, 0.0, 0, 0.0)


def test_the_blocks_of_a_sender_report_count_as_well() -> None:
    packet = RtcpSrPacket(ssrc=_THEIRS, sender_info=_SENDER, reports=[_block(_OURS, fraction_lost=128)])

    assert [_fields(report) for report in rtcp.parse(bytes(packet))] == [(Report, _OURS, 0.5, 0, 0.0)]


@pytest.mark.parametrize("words", range(5))
def test_a_sender_report_that_ends_within_its_first_part_has_no_blocks(words: int) -> None:
    bare = _THEIRS.to_bytes(4, "big") + bytes(4 * words)

    assert list(rtcp.parse(pack_rtcp_packet(200, 0, bare))) == []
    with pytest.raises(MalformedRtcp, match="a report is cut short"):
        list(rtcp.parse(pack_rtcp_packet(200, 1, bare)))


@given(st.integers(0, 0xFFFF), st.sets(st.integers(0, 300), min_size=1, max_size=200))
def test_a_nack_names_the_lost_packets_also_where_their_numbers_wrap(first: int, offsets: set[int]) -> None:
    lost, fci, rest = [(first + offset) & 0xFFFF for offset in sorted(offsets)], b"", sorted(offsets)
    while rest:  # a number, and a bit for each of the sixteen after it (RFC 4585, section 6.2.1)
        mask = sum(1 << (offset - rest[0] - 1) for offset in rest[1:] if offset - rest[0] <= 16)
        fci += ((first + rest[0]) & 0xFFFF).to_bytes(2, "big") + mask.to_bytes(2, "big")
        rest = [offset for offset in rest if offset - rest[0] > 16]

    parsed = rtcp.parse(pack_rtcp_packet(205, 1, _THEIRS.to_bytes(4, "big") + _OURS.to_bytes(4, "big") + fci))

    assert list(parsed) == [Nack(_OURS, tuple(lost))]


@given(st.sets(st.integers(0, 0xFFFF), min_size=1, max_size=200))
def test_a_nack_by_another_project_names_the_same_packets(lost: set[int]) -> None:
    packet = RtcpRtpfbPacket(fmt=RTCP_RTPFB_NACK, ssrc=_THEIRS, media_ssrc=_OURS, lost=sorted(lost))

    assert list(rtcp.parse(bytes(packet))) == [Nack(_OURS, tuple(sorted(lost)))]


def test_of_one_nack_only_so_many_packets_are_taken() -> None:
    fci = b"".join((17 * number).to_bytes(2, "big") + b"\xff\xff" for number in range(1000))

    (nack,) = rtcp.parse(pack_rtcp_packet(205, 1, bytes(8) + fci))

    assert isinstance(nack, Nack)
    assert nack.lost == tuple(range(rtcp.MOST_LOST))


def test_a_picture_loss_indication_asks_for_a_keyframe() -> None:
    assert list(rtcp.parse(bytes(_PLI))) == [KeyframeRequest(_OURS, "pli")]


def test_a_full_intra_request_asks_for_one_of_each_stream_it_names() -> None:
    entries = _OURS.to_bytes(4, "big") + b"\x01\0\0\0" + (7).to_bytes(4, "big") + b"\x02\0\0\0"
    packet = RtcpPsfbPacket(fmt=RTCP_PSFB_FIR, ssrc=_THEIRS, media_ssrc=0, fci=entries)

    assert list(rtcp.parse(bytes(packet))) == [KeyframeRequest(_OURS, "fir"), KeyframeRequest(7, "fir")]


@given(st.integers(0, 2**40))
def test_an_estimated_bitrate_comes_through_as_exactly_as_it_was_written(bitrate_bps: int) -> None:
    packet = RtcpPsfbPacket(fmt=RTCP_PSFB_APP, ssrc=_THEIRS, media_ssrc=0, fci=pack_remb_fci(bitrate_bps, [_OURS]))

    (remb,) = rtcp.parse(bytes(packet))

    assert isinstance(remb, Remb)
    assert 0 <= bitrate_bps - remb.bitrate_bps <= bitrate_bps >> 17  # eighteen bits are written


def test_arrival_times_are_handed_on_as_they_are() -> None:
    fci = bytes(range(12))

    (feedback,) = rtcp.parse(pack_rtcp_packet(205, 15, bytes(8) + fci))

    assert _fields(feedback) == (TransportFeedback, fci)


def test_all_of_a_compound_packet_is_read_and_what_means_nothing_to_a_sender_is_passed_over() -> None:
    parts: list[AnyRtcpPacket] = [
        RtcpRrPacket(ssrc=_THEIRS, reports=[_block(_OURS)]),
        _NAME,
        RtcpRtpfbPacket(fmt=RTCP_RTPFB_NACK, ssrc=_THEIRS, media_ssrc=_OURS, lost=[5, 7]),
        RtcpPsfbPacket(fmt=2, ssrc=_THEIRS, media_ssrc=_OURS, fci=bytes(4)),
        RtcpPsfbPacket(fmt=RTCP_PSFB_APP, ssrc=_THEIRS, media_ssrc=_OURS, fci=b"ELSE" + bytes(8)),
        RtcpRtpfbPacket(fmt=9, ssrc=_THEIRS, media_ssrc=_OURS),
        _PLI,
        RtcpByePacket(sources=[_THEIRS]),
    ]

    kinds = [type(feedback) for feedback in rtcp.parse(b"".join(bytes(part) for part in parts))]

    assert kinds == [Report, Nack, KeyframeRequest]


@pytest.mark.parametrize("padding", [4, 8])
def test_padding_is_no_part_of_what_is_said(padding: int) -> None:
    said = _THEIRS.to_bytes(4, "big") + _OURS.to_bytes(4, "big") + b"\x00\x05\x00\x00"
    packet = pack_rtcp_packet(205, 0x20 | RTCP_RTPFB_NACK, said + bytes(padding - 1) + bytes([padding]))

    assert list(rtcp.parse(packet)) == [Nack(_OURS, (5,))]


def test_padding_that_only_fills_a_word_up_is_taken_as_chromium_writes_it() -> None:
    packet = pack_rtcp_packet(205, 0x20 | 15, bytes(8) + b"arrival times" + b"\0\0\x03")

    (feedback,) = rtcp.parse(packet)

    assert _fields(feedback) == (TransportFeedback, b"arrival times")


@pytest.mark.parametrize("padding", [0, 9, 255])
def test_padding_of_an_impossible_length_is_malformed(padding: int) -> None:
    with pytest.raises(MalformedRtcp):
        list(rtcp.parse(pack_rtcp_packet(206, 0x21, bytes(11) + bytes([padding]))))


@pytest.mark.parametrize(
    "data",
    [
        b"\x80",
        bytes(_PLI)[:-4],
        b"\x00" + bytes(_PLI)[1:],
        bytes(_PLI) + b"\x81\xce\x00",
        b"\x85" + bytes(RtcpRrPacket(ssrc=_THEIRS, reports=[_block(_OURS)]))[1:],
    ],
    ids=["one byte", "cut short", "another version", "a rest", "fewer reports than it says"],
)
def test_what_is_no_compound_packet_is_malformed(data: bytes) -> None:
    with pytest.raises(MalformedRtcp):
        list(rtcp.parse(data))


_PARTS = [
    bytes(RtcpRrPacket(ssrc=_THEIRS, reports=[_block(_OURS), _block(7)])),
    bytes(RtcpSrPacket(ssrc=_THEIRS, sender_info=_SENDER, reports=[_block(_OURS)])),
    bytes(RtcpRtpfbPacket(fmt=RTCP_RTPFB_NACK, ssrc=_THEIRS, media_ssrc=_OURS, lost=[1, 2, 40])),
    bytes(RtcpPsfbPacket(fmt=RTCP_PSFB_FIR, ssrc=_THEIRS, media_ssrc=0, fci=bytes(16))),
    bytes(RtcpPsfbPacket(fmt=RTCP_PSFB_APP, ssrc=_THEIRS, media_ssrc=0, fci=pack_remb_fci(10**6, [_OURS]))),
    pack_rtcp_packet(205, 15, bytes(20)),
    bytes(_PLI),
    bytes(_NAME),
]
compounds = st.lists(st.sampled_from(_PARTS), min_size=1, max_size=8).map(b"".join)
mutated = st.tuples(compounds, st.lists(st.tuples(st.integers(0, 400), st.integers(0, 255)), max_size=8))


def _changed(original: bytes, changes: list[tuple[int, int]]) -> bytes:
    data = bytearray(original)
    for at, value in changes:
        data[at % len(data)] = value
    return bytes(data)


@given(st.one_of(st.binary(max_size=1500), mutated.map(lambda both: _changed(*both))))
def test_any_bytes_give_feedback_of_bounded_size_or_the_typed_error_and_nothing_else(data: bytes) -> None:
    count = named = 0
    try:
        for feedback in rtcp.parse(data):
            count += 1
            named += len(feedback.lost) if isinstance(feedback, Nack) else 0
    except MalformedRtcp:
        pass
    assert count <= len(data) // 8
    assert named <= len(data) // 4 * 17


# RFC 3611, section 4.4, as Chromium sends it behind an empty receiver report; and a block of another kind.
REFERENCE_TIME = "04000002 eb06c87d 9f1a2b3c"
LOST_RUNS = "01000002 11223344 00000000"


@pytest.mark.parametrize("blocks", [REFERENCE_TIME, LOST_RUNS + REFERENCE_TIME])
def test_a_viewers_clock_is_found_among_the_blocks_of_an_extended_report(blocks: str) -> None:
    body = bytes.fromhex("11223344" + blocks)
    packet = bytes.fromhex("80cf") + (len(body) // 4).to_bytes(2, "big") + body

    assert list(rtcp.parse(bytes.fromhex("80c90001 11223344") + packet)) == [rtcp.ReferenceTime(0x11223344, 0xC87D9F1A)]


def test_the_answer_repeats_a_viewers_clock_and_says_how_long_it_lay_here() -> None:
    asked = rtcp.ReferenceTime(ssrc=0x11223344, ntp_middle=0xC87D9F1A)

    assert rtcp.delay_since(asked, 0.25, 0xAABBCCDD) == bytes.fromhex(
        "80cf0005 aabbccdd 05000003 11223344 c87d9f1a 00004000"
    )


words = st.integers(0, 0xFFFFFFFF)


@given(words, st.integers(0, 2**64 - 1), words, words, words)
def test_a_sender_report_is_byte_for_byte_what_another_project_makes(
    ssrc: int, ntp: int, timestamp: int, packets: int, octets: int
) -> None:
    info = RtcpSenderInfo(ntp_timestamp=ntp, rtp_timestamp=timestamp, packet_count=packets, octet_count=octets)

    ours = rtcp.sender_report(
        ssrc, ntp=ntp + 2**64, timestamp=timestamp + 2**32, packets=packets + 2**33, octets=octets + 2**40
    )

    assert ours == bytes(RtcpSrPacket(ssrc=ssrc, sender_info=info))


@given(words, st.text(max_size=63))
def test_so_is_the_description_of_its_source(ssrc: int, name: str) -> None:
    chunk = RtcpSourceInfo(ssrc=ssrc, items=[(1, name.encode())])
    theirs = bytes(RtcpSdesPacket(chunks=[chunk]))
    if len(name.encode()) % 4 == 1:  # one zero ends it on a whole word: aiortc puts another word of them behind
        theirs = pack_rtcp_packet(202, 1, theirs[4:-4])

    ours = rtcp.description(ssrc, name)

    assert ours == theirs
    assert RtcpPacket.parse(ours) == [RtcpSdesPacket(chunks=[chunk])]

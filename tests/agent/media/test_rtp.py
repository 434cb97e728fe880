"""Packets as another project's parser reads them, in every layout that an offer can lead to."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from aiortc.rtcrtpparameters import RTCRtpHeaderExtensionParameters, RTCRtpParameters
from aiortc.rtp import HeaderExtensionsMap, RtpPacket, unpack_header_extensions, unwrap_rtx
from hypothesis import given
from hypothesis import strategies as st

from agent.media import annexb, rtp
from agent.media.packetize import MAX_PAYLOAD, MOST_IN_BURST, Packetized
from agent.media.rtp import ABS_SEND_TIME, MID, PLAYOUT_DELAY, TRANSPORT_CC, Image, Layout, Retransmission
from tests.kit.footage import nal, payloads, unit_of

_ALL = {MID: 1, ABS_SEND_TIME: 3, TRANSPORT_CC: 4, PLAYOUT_DELAY: 5}
_PAYLOAD_TYPE = 99
_SSRC, _TIMESTAMP = 0xC0FFEE, 0xFEDCBA98


def _layout(ids: dict[str, int], *, mid: str = "0", playout_delay_ms: int = 0, tag_bytes: int = 10) -> Layout:
    return Layout.of(_PAYLOAD_TYPE, ids, ssrc=_SSRC, mid=mid, playout_delay_ms=playout_delay_ms, tag_bytes=tag_bytes)


def _keyframe(size: int = 3000, published_at: float = 0.0) -> Packetized:
    units = [nal(annexb.SPS, 20), nal(annexb.PPS, 5), nal(annexb.IDR, size)]
    return Packetized(unit_of(units), _TIMESTAMP, captured_at=0.0, published_at=published_at)


def _again(lost: int) -> Retransmission:
    return Retransmission(payload_type=100, ssrc=8, sequence=5, timestamp=_TIMESTAMP, transport_number=6, lost=lost)


def _sizes(image: Image) -> list[int]:
    return memoryview(image.sizes).cast("i").tolist()


def _packets(image: Image, layout: Layout) -> Iterator[bytes]:
    """Cut an image where the kernel would, and take off what SRTP would fill."""
    assert len(image.data) == image.stride * (image.count - 1) + _sizes(image)[-1] + layout.tag_bytes
    for at in range(0, len(image.data), image.stride):
        yield image.data[at : at + image.stride][: -layout.tag_bytes]


def _all_packets(packetized: Packetized, layout: Layout) -> list[bytes]:
    return [packet for image in rtp.images(packetized, layout) for packet in _packets(image, layout)]


def _elements(packet: bytes) -> dict[int, bytes]:
    """Read the header extensions of a packet that has some."""
    assert packet[0] & rtp.EXTENSION
    words = int.from_bytes(packet[14:16], "big")
    found = unpack_header_extensions(int.from_bytes(packet[12:14], "big"), packet[16 : 16 + 4 * words])
    assert len(dict(found)) == len(found)
    return dict(found)


def _known(ids: dict[str, int]) -> HeaderExtensionsMap:
    known = HeaderExtensionsMap()
    known.configure(
        RTCRtpParameters(headerExtensions=[RTCRtpHeaderExtensionParameters(id=x, uri=uri) for uri, x in ids.items()])
    )
    return known


offered = st.permutations(range(1, 15)).flatmap(
    lambda numbers: st.sets(st.sampled_from(sorted(_ALL))).map(
        lambda uris: dict(zip(sorted(uris), numbers, strict=False))
    )
)


@given(offered, st.integers(2, 200_000), st.sampled_from([10, 16]), st.text("ab0", min_size=1, max_size=8))
def test_whatever_was_negotiated_the_packets_hold_the_payloads_and_the_last_is_marked(
    ids: dict[str, int], size: int, tag_bytes: int, mid: str
) -> None:
    layout, packetized = _layout(ids, mid=mid, tag_bytes=tag_bytes), _keyframe(size)

    packets = [RtpPacket.parse(packet, _known(ids)) for packet in _all_packets(packetized, layout)]

    assert [packet.payload for packet in packets] == payloads(packetized.unit.units)
    assert [packet.marker for packet in packets] == [0] * (len(packets) - 1) + [1]
    assert {packet.payload_type for packet in packets} == {_PAYLOAD_TYPE}
    assert {packet.extensions.mid for packet in packets} == {mid if MID in ids else None}


@given(st.integers(2, 200_000), st.sampled_from([10, 16]))
def test_the_packets_of_an_image_are_one_stride_apart_and_fit_a_datagram_together(size: int, tag_bytes: int) -> None:
    layout = _layout(_ALL, tag_bytes=tag_bytes)

    for image in rtp.images(_keyframe(size), layout):
        sizes = [len(packet) for packet in _packets(image, layout)]
        assert sizes == _sizes(image)
        assert {size + tag_bytes for size in sizes[:-1]} <= {image.stride}
        assert sizes[-1] + tag_bytes <= image.stride
        assert image.count <= MOST_IN_BURST
        assert len(image.data) <= 65_507


def test_the_longest_packet_fits_the_smallest_mtu_of_ipv6() -> None:
    layout = _layout(_ALL, mid="8 bytes.", tag_bytes=16)

    (_, image) = rtp.images(_keyframe(MAX_PAYLOAD), layout)

    again = rtp.resent(image, 0, layout, _again(0))
    assert image.stride < len(again) + layout.tag_bytes <= 1232  # 1280 without the headers of IPv6 and UDP


def test_all_is_said_but_the_numbers_that_differ_between_viewers() -> None:
    for packet in _all_packets(_keyframe(), _layout(_ALL)):
        parsed = RtpPacket.parse(packet, _known(_ALL))
        assert (parsed.sequence_number, parsed.timestamp, parsed.ssrc) == (0, _TIMESTAMP, _SSRC)
        assert parsed.extensions.transport_sequence_number == 0


def test_without_extensions_the_payload_follows_the_header() -> None:
    packetized = _keyframe()

    packets = _all_packets(packetized, _layout({}))

    assert [packet[0] for packet in packets] == [rtp.VERSION] * len(packets)
    assert [packet[rtp.HEADER :] for packet in packets] == payloads(packetized.unit.units)


@given(offered)
def test_the_transport_wide_number_stands_first_where_there_is_one(ids: dict[str, int]) -> None:
    layout = _layout(ids)

    assert layout.has_transport_cc == (TRANSPORT_CC in ids)
    if layout.has_transport_cc:
        assert layout.extensions[4] == ids[TRANSPORT_CC] << 4 | 1


def test_the_time_of_sending_stands_only_where_there_is_no_transport_wide_number() -> None:
    ids = {uri: number for uri, number in _ALL.items() if uri != TRANSPORT_CC}
    packetized = _keyframe(published_at=64 * 1000 + 12.25)  # the field wraps every 64 seconds

    timed = RtpPacket.parse(_all_packets(packetized, _layout(ids))[0], _known(ids))
    numbered = RtpPacket.parse(_all_packets(packetized, _layout(_ALL))[0], _known(_ALL))

    assert timed.extensions.abs_send_time == int(12.25 * 2**18)
    assert timed.extensions.transport_sequence_number is None
    assert numbered.extensions.abs_send_time is None
    assert numbered.extensions.transport_sequence_number == 0


@pytest.mark.parametrize(("asked_ms", "told_ms"), [(0, 0), (100, 100), (105, 100), (5000, 5000), (10**6, 40_950)])
def test_the_playout_delay_is_told_as_least_and_most_in_steps_of_ten_milliseconds(asked_ms: int, told_ms: int) -> None:
    packet = _all_packets(_keyframe(), _layout(_ALL, playout_delay_ms=asked_ms))[0]

    value = int.from_bytes(_elements(packet)[_ALL[PLAYOUT_DELAY]], "big")

    assert (value >> 12, value & 0xFFF) == (told_ms // 10, told_ms // 10)


@pytest.mark.parametrize("mid", ["", "nine byte", "ä" * 5])
def test_a_mid_that_is_empty_or_too_long_is_left_out(mid: str) -> None:
    packet = _all_packets(_keyframe(), _layout({MID: 1, PLAYOUT_DELAY: 2}, mid=mid))[0]

    assert list(_elements(packet)) == [2]


@pytest.mark.parametrize("number", [-1, 0, 15, 16, 255, 4096])
def test_an_extension_whose_number_no_one_byte_header_can_say_is_left_out(number: int) -> None:
    ids = dict.fromkeys((MID, ABS_SEND_TIME, TRANSPORT_CC), number) | {PLAYOUT_DELAY: 14}

    layout = _layout(ids)

    assert not layout.has_transport_cc
    assert layout.send_time_at is None
    assert list(_elements(_all_packets(_keyframe(), layout)[0])) == [14]


def test_packets_are_laid_out_once_for_all_viewers_who_agreed_on_the_same() -> None:
    packetized = _keyframe()

    first, same = rtp.images(packetized, _layout(_ALL)), rtp.images(packetized, _layout(dict(_ALL)))
    other = rtp.images(packetized, _layout({MID: 2}))

    assert first is same
    assert first is not other


def test_layouts_that_are_equal_are_one() -> None:
    assert _layout(_ALL) is _layout(dict(_ALL))
    assert len({_layout(_ALL), _layout(_ALL, tag_bytes=16), _layout(_ALL, mid="1"), _layout({})}) == 4


@given(offered, st.integers(2, 60_000), st.integers(0, 0xFFFF), st.data())
def test_a_resent_packet_unwraps_to_the_lost_one(
    ids: dict[str, int], size: int, sequence: int, data: st.DataObject
) -> None:
    layout = _layout(ids)
    image = rtp.images(_keyframe(size), layout)[-1]
    index = data.draw(st.integers(0, image.count - 1))
    original = RtpPacket.parse(list(_packets(image, layout))[index], _known(ids))

    packet = RtpPacket.parse(rtp.resent(image, index, layout, _again(sequence)), _known(ids))
    unwrapped = unwrap_rtx(packet, payload_type=_PAYLOAD_TYPE, ssrc=7)

    assert (packet.payload_type, packet.sequence_number, packet.timestamp, packet.ssrc) == (100, 5, _TIMESTAMP, 8)
    assert packet.extensions.transport_sequence_number == (6 if layout.has_transport_cc else None)
    packet.extensions.transport_sequence_number = original.extensions.transport_sequence_number
    assert unwrapped.sequence_number == sequence
    assert unwrapped.payload == original.payload
    assert unwrapped.marker == original.marker
    assert unwrapped.extensions == original.extensions

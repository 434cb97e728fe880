from __future__ import annotations

from aiortc.rtcrtpparameters import RTCRtpHeaderExtensionParameters, RTCRtpParameters
from aiortc.rtp import HeaderExtensionsMap, RtpPacket, unwrap_rtx

from agent.media import rtp
from agent.media.access_unit import AccessUnit
from agent.media.annexb import annexb
from agent.media.packetize import MAX_PAYLOAD, packetize
from agent.media.rtp import Image, Layout, images, resent

IDS = {rtp.TRANSPORT_CC: 5, rtp.ABS_SEND_TIME: 3, rtp.PLAYOUT_DELAY: 6, rtp.MID: 1}
UNITS = [b"\x67" + bytes(range(1, 20)), b"\x68\x01", b"\x65" + b"\x11" * 3000, b"\x41\x22\x33"]
PICTURE = AccessUnit(data=annexb(UNITS), pts_us=0, keyframe=True)
PICTURES = packetize(PICTURE, captured_at=1.0, published_at=1.5)


def _layout(ids: dict[str, int] = IDS, *, mid: str = "video", tag_bytes: int = 16, delay_ms: int = 0) -> Layout:
    return Layout.of(96, ids, mid=mid, playout_delay_ms=delay_ms, tag_bytes=tag_bytes)


def _parsed(image: Image, layout: Layout, ids: dict[str, int]) -> list[RtpPacket]:
    known = HeaderExtensionsMap()
    known.configure(
        RTCRtpParameters(
            headerExtensions=[RTCRtpHeaderExtensionParameters(id=number, uri=uri) for uri, number in ids.items()]
        )
    )
    packets = []
    for index in range(image.count):
        size = image.last_size if index == image.count - 1 else image.size
        begin = index * image.stride
        assert image.data[begin + size : begin + image.stride] == bytes(layout.tag_bytes)
        packets.append(RtpPacket.parse(image.data[begin : begin + size], known))
    return packets


def test_the_packets_of_a_picture_carry_its_payloads_and_what_was_negotiated() -> None:
    layout = _layout()

    packets = [packet for image in images(PICTURES, layout) for packet in _parsed(image, layout, IDS)]

    assert [packet.payload for packet in packets] == [payload for burst in PICTURES.bursts for payload in burst]
    assert {packet.payload_type for packet in packets} == {96}
    assert {packet.extensions.mid for packet in packets} == {"video"}
    assert {packet.extensions.transport_sequence_number for packet in packets} == {0}
    assert {packet.extensions.abs_send_time for packet in packets} == {None}  # transport-wide feedback is there


def test_only_the_last_packet_of_a_picture_is_marked() -> None:
    layout = _layout()

    marks = [packet.marker for image in images(PICTURES, layout) for packet in _parsed(image, layout, IDS)]

    assert marks == [0] * (len(marks) - 1) + [1]


def test_viewers_who_agreed_on_the_same_share_the_same_bytes() -> None:
    assert images(PICTURES, _layout()) is images(PICTURES, _layout())
    assert images(PICTURES, _layout()) is not images(PICTURES, _layout(mid="0"))


def test_a_receiver_without_transport_wide_feedback_gets_the_time_of_sending() -> None:
    ids = {rtp.ABS_SEND_TIME: 3, rtp.MID: 1}
    layout = _layout(ids)

    (packet, *_) = _parsed(images(PICTURES, layout)[0], layout, ids)

    assert packet.extensions.abs_send_time == int(1.5 * (1 << 18))
    assert not layout.has_transport_cc


def test_without_extensions_there_is_no_block_of_them() -> None:
    layout = _layout({})

    assert layout.extensions == b""
    assert _parsed(images(PICTURES, layout)[0], layout, {})[0].extensions.mid is None


def test_a_long_mid_is_left_out_so_that_packets_stay_small() -> None:
    assert _layout({rtp.MID: 1}, mid="a mid of many letters").extensions == b""


def test_a_number_that_a_one_byte_header_cannot_say_is_left_out() -> None:
    assert _layout({rtp.PLAYOUT_DELAY: 15, rtp.MID: 16}).extensions == b""
    assert _layout({rtp.MID: 1}, mid="").extensions == b""


def test_a_playout_delay_is_both_the_least_and_the_most_in_steps_of_ten_milliseconds() -> None:
    ids = {rtp.PLAYOUT_DELAY: 6}

    assert _layout(ids).extensions[4:8] == bytes.fromhex("62 000000")
    assert _layout(ids, delay_ms=250).extensions[4:8] == bytes.fromhex("62 019019")
    assert _layout(ids, delay_ms=10**6).extensions[4:8] == bytes.fromhex("62 ffffff")


def test_no_datagram_is_larger_than_what_fits_everywhere() -> None:
    layout = _layout(mid="12345678")

    assert max(image.stride for image in images(PICTURES, layout)) <= 1232
    assert any(image.size > MAX_PAYLOAD for image in images(PICTURES, layout))


def test_a_packet_that_is_sent_again_is_the_old_one_under_the_number_it_had() -> None:
    layout = _layout(tag_bytes=10)
    image = next(image for image in images(PICTURES, layout) if image.count > 1)
    for index, original in enumerate(_parsed(image, layout, IDS)):
        packet = RtpPacket.parse(resent(image, index, layout, 97, 4711), HeaderExtensionsMap())

        assert packet.payload_type == 97
        assert packet.marker == original.marker
        unwrapped = unwrap_rtx(packet, payload_type=96, ssrc=0)
        assert unwrapped.sequence_number == 4711
        assert unwrapped.payload == original.payload

"""What is protected in place, a burst at a time, against what pylibsrtp makes of the same packets one by one."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import pytest
from aiortc.rtp import RtpPacket
from hypothesis import given
from hypothesis import strategies as st
from pylibsrtp import ERRORS, Policy, Session
from pylibsrtp._binding import ffi, lib

from agent.media import annexb, rtp
from agent.media.packetize import Packetized
from agent.media.rtp import Image, Layout, Retransmission
from agent.webrtc.srtp import ProtectError, Protector, Unprotector
from tests.kit.footage import nal, unit_of

_IDS = {rtp.MID: 1, rtp.TRANSPORT_CC: 4, rtp.PLAYOUT_DELAY: 5}
_SSRC, _RTX_SSRC, _TIMESTAMP = 0xCAFE0001, 0xCAFE0002, 0xFEDCBA98


@dataclass(frozen=True)
class Profile:
    """An SRTP profile: what its keys and tags measure."""

    number: int
    key_bytes: int
    tag_bytes: int

    def session(self, ssrc_type: int) -> Session:
        """Make a session as aiortc does; all have the same key."""
        policy = Policy(key=bytes(range(self.key_bytes)), ssrc_type=ssrc_type, srtp_profile=self.number)
        policy.allow_repeat_tx = True
        policy.window_size = 1024
        return Session(policy)

    def sender(self) -> Session:
        return self.session(Policy.SSRC_ANY_OUTBOUND)

    def receiver(self) -> Session:
        return self.session(Policy.SSRC_ANY_INBOUND)

    def layout(self, ids: dict[str, int]) -> Layout:
        return Layout.of(99, ids, ssrc=_SSRC, mid="0", playout_delay_ms=0, tag_bytes=self.tag_bytes)


_CM = Profile(Policy.SRTP_PROFILE_AES128_CM_SHA1_80, 30, 10)
_GCM = Profile(Policy.SRTP_PROFILE_AEAD_AES_128_GCM, 28, 16)
_GCM_256 = Profile(Policy.SRTP_PROFILE_AEAD_AES_256_GCM, 44, 16)
profiles = pytest.mark.parametrize("profile", [_CM, _GCM, _GCM_256], ids=["cm", "gcm", "gcm-256"])
layouts = pytest.mark.parametrize(
    "ids", [_IDS, {rtp.MID: 2, rtp.ABS_SEND_TIME: 3}, {}], ids=["transport-cc", "send time", "bare"]
)


def _images(layout: Layout, *sizes: int) -> list[Image]:
    """Lay out a picture of NAL units of these sizes."""
    units = [nal(annexb.IDR, size, seed=number) for number, size in enumerate(sizes)]
    return rtp.images(Packetized(unit_of(units), _TIMESTAMP, captured_at=0.0, published_at=1.0), layout)


def _cut(wire: memoryview, image: Image) -> list[bytes]:
    return [bytes(wire[at : at + image.stride]) for at in range(0, len(wire), image.stride)]


def _written_out(
    image: Image, index: int, layout: Layout, sequence: int, timestamp: int, transport_number: int
) -> bytes:
    """Fill in one packet by another project's hand, where the layout left it open."""
    packet = bytearray(image.data[index * image.stride :][: memoryview(image.sizes).cast("i")[index]])
    packet[:12] = RtpPacket(
        payload_type=packet[1] & 0x7F,
        marker=packet[1] >> 7,
        sequence_number=sequence & 0xFFFF,
        timestamp=timestamp,
        ssrc=_SSRC,
    ).serialize()
    packet[0] |= rtp.EXTENSION if layout.extensions else 0
    if layout.has_transport_cc:
        packet[17:19] = (transport_number & 0xFFFF).to_bytes(2, "big")
    return bytes(packet)


@profiles
@layouts
def test_a_burst_is_byte_for_byte_what_pylibsrtp_makes_of_its_packets(profile: Profile, ids: dict[str, int]) -> None:
    layout, one_by_one = profile.layout(ids), profile.sender()
    protector = Protector(profile.sender(), layout)
    sequence = 1000
    for turn, image in enumerate(_images(layout, 20, 900, 20_000, 120_000)):
        wire = protector.burst(
            image, 0, image.count, sequence=sequence, timestamp=turn, transport_number=sequence + 65_000 & 0xFFFF
        )
        for index, packet in enumerate(_cut(wire, image)):
            plain = _written_out(image, index, layout, sequence, turn, sequence + 65_000)
            assert packet == one_by_one.protect(plain)
            sequence += 1


@profiles
@layouts
def test_parts_of_a_burst_are_what_the_whole_of_it_would_be(profile: Profile, ids: dict[str, int]) -> None:
    layout = profile.layout(ids)
    (image,) = _images(layout, 30_000)
    whole, parts = (Protector(profile.sender(), layout) for _ in range(2))
    packets = _cut(whole.burst(image, 0, image.count, sequence=7, timestamp=9, transport_number=11), image)
    made: list[bytes] = []
    for first, count in [(0, 1), (1, 10), (11, image.count - 12), (image.count - 1, 1)]:
        wire = parts.burst(image, first, count, sequence=7 + first, timestamp=9, transport_number=11 + first)
        made += _cut(wire, image)

    assert made == packets


@profiles
@given(size=st.integers(1, 1200), sequence=st.integers(0, 0x7FFF), timestamp=st.integers(0, 0xFFFF_FFFF))
def test_a_lone_packet_of_any_size_is_what_pylibsrtp_makes_of_it(
    profile: Profile, size: int, sequence: int, timestamp: int
) -> None:
    layout = profile.layout(_IDS)
    packet = RtpPacket(
        payload_type=100, sequence_number=sequence, timestamp=timestamp, ssrc=_RTX_SSRC, payload=b"\x05" * size
    ).serialize()

    wire = Protector(profile.sender(), layout).packet(packet)

    assert bytes(wire) == profile.sender().protect(packet)
    assert profile.receiver().unprotect(bytes(wire)) == packet


@profiles
def test_a_receiver_reads_on_where_the_sequence_numbers_wrap(profile: Profile) -> None:
    layout, receiver, one_by_one = profile.layout(_IDS), profile.receiver(), profile.sender()
    protector = Protector(profile.sender(), layout)
    (image,) = _images(layout, 40_000)
    assert image.count > 30
    sequence = 65_536 - image.count - 10
    for turn in range(2000):  # twice around, in bursts that now and then lie across the wrap
        wire = protector.burst(
            image, 0, image.count, sequence=sequence & 0xFFFF, timestamp=turn, transport_number=sequence & 0xFFFF
        )
        packets = _cut(wire, image)
        for index in range(image.count) if turn < 3 or turn > 1995 else (0, image.count - 1):
            plain = _written_out(image, index, layout, sequence + index, turn, sequence + index)
            assert receiver.unprotect(packets[index]) == plain
        if turn < 3:
            expected = [
                one_by_one.protect(_written_out(image, index, layout, sequence + index, turn, sequence + index))
                for index in range(image.count)
            ]
            assert packets == expected
        sequence += image.count

    assert sequence > 2 * 65_536


@profiles
def test_pictures_and_what_is_resent_share_a_key_under_two_names(profile: Profile) -> None:
    layout, session, receiver = profile.layout(_IDS), profile.sender(), profile.receiver()
    protector = Protector(session, layout)
    (image,) = _images(layout, 5000)
    burst = protector.burst(image, 0, 5, sequence=9, timestamp=1, transport_number=0)
    lost = list(itertools.islice(_cut(burst, image), 2))
    again = Retransmission(payload_type=100, ssrc=_RTX_SSRC, sequence=500, timestamp=1, transport_number=5, lost=10)

    wire = protector.packet(rtp.resent(image, 1, layout, again))

    original = RtpPacket.parse(receiver.unprotect(lost[1]))
    resent = RtpPacket.parse(receiver.unprotect(bytes(wire)))
    assert (original.ssrc, resent.ssrc) == (_SSRC, _RTX_SSRC)
    assert resent.payload == (10).to_bytes(2, "big") + original.payload


reports = st.integers(0, 330).map(lambda words: b"\x80\xc9" + (words + 1).to_bytes(2, "big") + bytes(4 + 4 * words))


@profiles
@given(st.lists(reports, max_size=5))
def test_a_report_is_protected_and_unprotected_as_pylibsrtp_does_both(profile: Profile, compounds: list[bytes]) -> None:
    protector, theirs = Protector(profile.sender(), profile.layout({})), profile.sender()
    unprotector, receiver = Unprotector(profile.receiver()), profile.receiver()

    for compound in compounds:
        wire = bytes(protector.report(compound))

        assert wire == theirs.protect_rtcp(compound)
        assert unprotector.report(wire) == receiver.unprotect_rtcp(wire) == compound


@profiles
def test_a_report_that_is_forged_cut_short_or_comes_again_is_refused(profile: Profile) -> None:
    unprotector, viewer = Unprotector(profile.receiver()), profile.sender()
    report = b"\x81\xce\0\x02" + bytes(8)
    wire = viewer.protect_rtcp(report)
    assert unprotector.report(wire) == report

    again = viewer.protect_rtcp(report)
    for refused in (
        wire,
        report,
        report + bytes(14),
        again[:-1],
        again[:9] + b"x" + again[10:],
        b"\x80\xc8",
        bytes(2000),
    ):
        with pytest.raises(ProtectError):
            unprotector.report(refused)

    assert unprotector.report(again) == report


def test_what_libsrtp_refuses_is_an_error_that_says_its_number() -> None:
    layout = _GCM.layout({})
    protector = Protector(Session(), layout)  # without a key
    (image,) = _images(layout, 100)

    with pytest.raises(ProtectError, match=str(ERRORS.index("no appropriate context found"))):
        protector.burst(image, 0, 1, sequence=1, timestamp=1, transport_number=0)


def test_pylibsrtp_keeps_libsrtps_session_where_the_protector_takes_it() -> None:
    session = _GCM.sender()

    assert hasattr(session, "_srtp"), "pylibsrtp.Session has no _srtp any more"
    moved = "pylibsrtp.Session._srtp is no longer a pointer to libsrtp's session"
    assert ffi.typeof(session._srtp) is ffi.typeof("srtp_t *"), moved
    assert session._srtp[0] != ffi.NULL, moved


@pytest.mark.parametrize("name", ["srtp_protect", "srtp_protect_rtcp", "srtp_unprotect_rtcp"])
def test_libsrtp_works_in_place_with_the_arguments_that_it_is_given(name: str) -> None:
    assert hasattr(lib, name), f"pylibsrtp._binding.lib has no {name} any more"
    function = ffi.typeof(getattr(lib, name))

    assert list(function.args) == [ffi.typeof("srtp_t"), ffi.typeof("void *"), ffi.typeof("int *")], (
        f"{name} takes {function.args} now"
    )
    assert function.result is ffi.typeof("srtp_err_status_t"), f"{name} returns {function.result} now"
    assert lib.srtp_err_status_ok == 0, "success is no longer 0"

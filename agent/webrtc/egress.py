"""One viewer's way out: from the packets that all viewers share to its socket."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
import time
from collections import deque
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Final

from aioice.ice import CandidatePair
from aiortc import RTCDtlsTransport

from agent.media.access_unit import StreamName
from agent.media.bandwidth import Bandwidth
from agent.media.feed import Feed
from agent.media.pacing import Pacer, pace_bps
from agent.media.packetize import Packetized
from agent.media.resend import Resends, Sent
from agent.media.rtp import Image, Layout, Retransmission, images, resent
from agent.media.stream import Stream
from agent.webrtc.inbox import Inbox
from agent.webrtc.path import Path
from agent.webrtc.seams import paths, sending
from agent.webrtc.srtp import Protector

_LOG: Final = logging.getLogger(__name__)
_TOLD_S: Final = 1.0  # a viewer that falls behind is reported at most so often


@dataclass(slots=True)
class Counts:
    """What left on a viewer's way, and what did not: packets, but for `behind`, the times it fell behind."""

    sent: int = 0
    resent: int = 0
    probing: int = 0
    unsent: int = 0
    behind: int = 0


@dataclass(frozen=True, slots=True)
class _Out:
    """What a connection that stands is sent through."""

    transport: RTCDtlsTransport
    nominated: Mapping[int, CandidatePair]
    sender: sending.Sender
    layout: Layout
    protector: Protector
    rtx_payload_type: int | None
    rtx_ssrc: int


class Egress:
    """Sends a stream's pictures to one viewer, paced by its estimated rate.

    It is subscribed before the connection stands: what comes until then is queued, under the feed's drop rule.
    """

    def __init__(
        self, stream: Stream, bandwidth: Bandwidth, inbox: Inbox, *, playout_delay_ms: int, full_bps: int
    ) -> None:
        self.counts = Counts()
        self.stream = stream
        self._inbox = inbox
        self._bandwidth = bandwidth
        self._playout_delay_ms = playout_delay_ms
        self._full_bps = full_bps
        self._loop = asyncio.get_running_loop()
        self._next: Stream | None = None
        self._feed = Feed()
        self._pacer = Pacer()
        self._resends = Resends()
        self._out: _Out | None = None
        self._pair: object = None
        self._path: Path | None = None
        self._images: deque[Image] = deque()  # what is left of the picture that is being sent
        self._first = 0  # of the first image's packets
        self._timer: asyncio.TimerHandle | None = None
        # In the lower half, so that the rollover counter is never guessed wrong (RFC 3711, section 3.3.1).
        self._sequence, self._rtx_sequence = random.randrange(0x8000), random.randrange(0x8000)  # noqa: S311
        self._transport_number = 0
        self._timestamp: int | None = None  # of the last picture
        self._captured_at = 0.0
        self._octets = 0  # of payload (RFC 3550, section 6.4.1)
        self._told_at = 0.0
        self._closed = False

    @property
    def way(self) -> str:
        """How packets leave: "gso", "single" or "relay"; "none" before the first."""
        return self._path.way if self._path is not None else "none"

    @property
    def heading_for(self) -> StreamName:
        """Name the stream that the viewer is given, or will be from its next keyframe on."""
        return (self._next or self.stream).name

    def account(self) -> str:
        """Say in one line what left, and how."""
        counts = ", ".join(f"{name} {value}" for name, value in asdict(self.counts).items() if value or name == "sent")
        return f"packets: {counts}; pictures dropped: {self._feed.dropped}; way: {self.way}"

    def subscribe(self) -> None:
        """Begin to take pictures, unless it is over already."""
        if not self._closed:
            self.stream.subscribe(self, self._loop.time())

    def connect(self, transport: RTCDtlsTransport, agreed: sending.Negotiated, sender: sending.Sender) -> None:
        """Begin to send, the reports of `sender` too: DTLS stands. It may come to that when the session is ending."""
        if self._closed:
            return
        layout = Layout.of(
            agreed.payload_type,
            agreed.extension_ids,
            ssrc=agreed.ssrc,
            mid=agreed.mid,
            playout_delay_ms=self._playout_delay_ms,
            tag_bytes=agreed.tag_bytes,
        )
        self._out = _Out(
            transport,
            paths.nominated(transport),
            sender,
            layout,
            Protector(transport._tx_srtp, layout),
            agreed.rtx_payload_type,
            agreed.rtx_ssrc,
        )
        self._drain()

    def watch(self, stream: Stream) -> None:
        """Go over to another stream of the same camera, at its next keyframe."""
        if stream.name == self.heading_for:
            return
        if self._next is not None:
            self._next.unsubscribe(self)
            self._next = None
        if stream is not self.stream:
            self._next = stream
            stream.subscribe(self, self._loop.time(), cause="switch")

    def close(self) -> None:
        """Send no more. Harmless twice."""
        self._closed = True
        for stream in (self.stream, self._next):
            if stream is not None:
                stream.unsubscribe(self)
        self._out = None
        if self._timer is not None:
            self._timer.cancel()
        if self._path is not None:
            self._path.close()

    def take(self, packetized: Packetized, now: float) -> bool:
        """Send or queue a picture, or drop it. True when that overflowed, and a keyframe is wanted."""
        if packetized.stream != self.stream.name:
            if self._next is None or packetized.stream != self._next.name or not packetized.unit.keyframe:
                return False
            self.stream.unsubscribe(self)
            self.stream, self._next = self._next, None
            self._feed.skip()
        overflow = self._feed.push(packetized)
        if overflow:
            self._fell_behind(now)
        if self._out is not None:
            if self._timer is None:
                self._drain()
                if size := self._bandwidth.probe(now):
                    self._probe(size, now)
            if now >= self._out.sender.report_at:
                self._report(self._out)
        return overflow

    def resend(self, lost: tuple[int, ...], round_trip_s: float | None, now: float) -> None:
        """Send again what a NACK asks for, as far as its budget goes; what is gone only a keyframe makes good."""
        if self._resends.gone(lost):
            self.stream.request_keyframe("nack", now)
        if self._path is not None:
            self._path.hurry()
        rate_bps = self._bandwidth.estimate_bps or self._full_bps
        for sent, index in self._resends.wanted(lost, round_trip_s=round_trip_s, rate_bps=rate_bps, now=now):
            self.counts.resent += self._again(sent, index, now)

    def _report(self, out: _Out) -> None:
        """Send a sender report: with a picture, so that nothing has to wake for it."""
        if self._timestamp is None or self._path is None:
            return
        progress = sending.Progress(self.counts.sent, self._octets, self._timestamp, self._captured_at)
        wire = out.protector.report(out.sender.report(progress))
        with contextlib.suppress(OSError):  # the next one says the same
            self._path.send(wire, len(wire))

    def _probe(self, size: int, now: float) -> None:
        for sent, index in list(self._resends.latest(size)):
            self.counts.probing += self._again(sent, index, now)

    def _drain(self) -> None:
        """Send what waits, as far as the pacer lets it."""
        waited, self._timer = self._timer is not None, None
        out, now = self._out, time.monotonic()
        if out is None or not self._find_path(out):
            return
        self._pacer.begin(now, waited)
        pace = pace_bps(self._bandwidth.estimate_bps, self._full_bps)
        while self._images or self._begin(out):
            room = self._pacer.room(pace, now)
            if room <= 0:
                self._timer = self._loop.call_at(self._pacer.next_at(), self._drain)
                return
            image = self._images[0]
            count = min(image.count - self._first, max(1, room // image.stride))
            self._pacer.sent(count * image.stride, pace)
            if not self._send(out, image, self._first, count, now):
                return
            self._first += count
            if self._first == image.count:
                self._images.popleft()
                self._first = 0

    def _begin(self, out: _Out) -> bool:
        packetized = self._feed.pop()
        if packetized is None:
            return False
        self._images.extend(images(packetized, out.layout))
        if packetized.unit.keyframe:
            self._resends.keyframe(self._sequence)
        last, timestamp = self._timestamp, packetized.timestamp
        if last is not None and not 0 < timestamp - last & 0xFFFF_FFFF < 0x8000_0000:
            # Another stream's keyframe may be of the picture that was sent already: timestamps rise all the same.
            timestamp = last + 1 & 0xFFFF_FFFF
        self._timestamp, self._captured_at = timestamp, packetized.captured_at
        return True

    def _send(self, out: _Out, image: Image, first: int, count: int, now: float) -> bool:
        """Send a burst; False when the socket is full, and the viewer starts again at a keyframe."""
        sequence, number, timestamp = self._sequence, self._transport_number, self._timestamp
        assert timestamp is not None and self._path is not None  # noqa: S101, PT018  # _begin and _find_path saw to it
        wire = out.protector.burst(image, first, count, sequence=sequence, timestamp=timestamp, transport_number=number)
        self._sequence, self._transport_number = sequence + count & 0xFFFF, number + count & 0xFFFF
        self._resends.sent(Sent(sequence, image, first, count, timestamp, now))
        if out.layout.has_transport_cc:
            self._bandwidth.sent(number, count, image.stride, now)
        self.counts.sent += count
        self._octets += len(wire) - count * out.layout.overhead_bytes
        try:
            self._path.send(wire, image.stride)
        except BlockingIOError:
            self._images.clear()
            self._first = 0
            self._feed.skip()
            self._fell_behind(now)
            self.stream.request_keyframe("overflow", now)
            return False
        except OSError:  # a network that is gone for a moment loses packets, as networks do
            self.counts.unsent += count
        return True

    def _again(self, sent: Sent, index: int, now: float) -> int:
        """Send one packet again; gives how many left."""
        out, path = self._out, self._path
        if out is None or out.rtx_payload_type is None or path is None:
            return 0
        lost, number = sent.sequence + index - sent.first & 0xFFFF, self._transport_number
        again = Retransmission(out.rtx_payload_type, out.rtx_ssrc, self._rtx_sequence, sent.timestamp, number, lost)
        wire = out.protector.packet(resent(sent.image, index, out.layout, again))
        self._rtx_sequence, self._transport_number = self._rtx_sequence + 1 & 0xFFFF, number + 1 & 0xFFFF
        if out.layout.has_transport_cc:
            self._bandwidth.sent(number, 1, len(wire), now)
        try:
            path.send(wire, len(wire))
        except OSError:
            self.counts.unsent += 1
            return 0
        return 1

    def _find_path(self, out: _Out) -> bool:
        pair = out.nominated.get(1)
        if pair is None:  # the viewer is gone, and nobody else is to pay for a keyframe that it cannot get
            self._feed.skip()
        elif pair is not self._pair:
            if self._path is not None:
                self._path.close()
            self._pair, self._path = pair, paths.path(pair, self._inbox)
        return pair is not None

    def _fell_behind(self, now: float) -> None:
        self.counts.behind += 1
        if now - self._told_at >= _TOLD_S:
            self._told_at = now
            _LOG.warning("a viewer is behind and skips to the next keyframe (%d times so far)", self.counts.behind)

"""What a viewer reports back, and where it leads: keyframes, resent packets, its estimated rate."""

from __future__ import annotations

import time
from collections.abc import Callable

from agent.media import rtcp
from agent.media.bandwidth import Bandwidth
from agent.webrtc.egress import Egress
from agent.webrtc.inbox import Inbox
from agent.webrtc.seams.sending import Sender


class Reports:
    """Takes each compound RTCP packet of one viewer, decrypted."""

    def __init__(
        self, egress: Egress, sender: Sender, bandwidth: Bandwidth, inbox: Inbox, *, now: Callable[[], float]
    ) -> None:
        self.malformed = 0
        self.round_trip_s: float | None = None
        self._egress = egress
        self._sender = sender
        self._bandwidth = bandwidth
        self._inbox = inbox
        self._now = now

    def take(self, data: bytes) -> None:
        """Act on all that stands in `data`; what is malformed is counted and costs no more."""
        now = self._now() - self._inbox.age_s
        try:
            for feedback in rtcp.parse(data):
                self._act(feedback, now)
        except rtcp.MalformedRtcp:
            self.malformed += 1

    def _act(self, feedback: rtcp.Feedback, now: float) -> None:
        match feedback:
            case rtcp.TransportFeedback(fci):
                self._bandwidth.feedback(fci, now)
            case rtcp.Nack(ssrc, lost) if ssrc == self._sender._ssrc:
                self._egress.resend(lost, self.round_trip_s, now)
            case rtcp.KeyframeRequest(ssrc, cause) if ssrc == self._sender._ssrc:
                self._egress.stream.request_keyframe(cause, now)
            case rtcp.ReferenceTime():
                self._sender.asked(feedback, now)
            case rtcp.Remb(bitrate_bps):
                self._bandwidth.remb(bitrate_bps, now)
            case rtcp.Report(ssrc, fraction_lost, lsr, dlsr_s) if ssrc == self._sender._ssrc:
                round_trip_s = self._sender.round_trip_s(lsr, dlsr_s, time.time() - self._inbox.age_s)
                if round_trip_s is not None:
                    self.round_trip_s = round_trip_s
                self._bandwidth.receiver_report(fraction_lost, self.round_trip_s, now)
            case _:
                pass  # of a stream that is not ours

"""What a viewer reports back, and where it leads: keyframes, resent packets, its estimated rate."""

from __future__ import annotations

import time
from collections.abc import Callable

from pylibsrtp import Session

from agent.media import rtcp
from agent.media.bandwidth import Bandwidth
from agent.media.transport_cc import MalformedFeedback
from agent.webrtc.egress import Egress
from agent.webrtc.guard import Drops
from agent.webrtc.inbox import Inbox
from agent.webrtc.seams.sending import Sender
from agent.webrtc.srtp import ProtectError, Unprotector


class Reports:
    """Takes each SRTCP packet of one viewer; `drops` counts those that are not made with the session's key."""

    def __init__(
        self,
        egress: Egress,
        sender: Sender,
        bandwidth: Bandwidth,
        inbox: Inbox,
        drops: Drops,
        *,
        now: Callable[[], float],
    ) -> None:
        self.malformed = 0
        self.round_trip_s: float | None = None
        self._egress = egress
        self._sender = sender
        self._bandwidth = bandwidth
        self._inbox = inbox
        self._drops = drops
        self._now = now
        self._unprotector: Unprotector | None = None

    def begin(self, session: Session) -> None:
        """Take what comes from now on: DTLS stands, and this unprotects it."""
        self._unprotector = Unprotector(session)

    def take(self, data: bytes) -> None:
        """Act on all that stands in `data`; what is forged or malformed is counted and costs no more."""
        if self._unprotector is None:
            return
        try:
            compound = self._unprotector.report(data)
        except ProtectError:
            self._drops.forged += 1
            return
        now = self._now() - self._inbox.age_s
        try:
            for feedback in rtcp.parse(compound):
                self._act(feedback, now)
        except (rtcp.MalformedRtcp, MalformedFeedback):
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

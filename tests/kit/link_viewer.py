"""A viewer in Chromium, in a network of its own, that writes down ten times a second what it knows of its picture."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import shlex
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from playwright.async_api import Page, Playwright

from tests.kit.chromium import FLAGS
from tests.kit.link import Namespace

CHROMIUM = "/usr/bin/chromium"
_NO_MDNS = "--disable-features=WebRtcHideLocalIpsWithMdns"  # its names are not resolved across a link

_OFFER = """async (configuration) => {
    const video = Object.assign(document.createElement("video"), {muted: true, autoplay: true, width: 160});
    document.body.append(video);
    const peer = window.peer = new RTCPeerConnection(configuration);
    peer.addTransceiver("video", {direction: "recvonly"});
    peer.ontrack = ({track}) => { video.srcObject = new MediaStream([track]); };
    const gathered = new Promise((resolve) => {
        peer.onicegatheringstatechange = () => peer.iceGatheringState === "complete" && resolve();
    });
    await peer.setLocalDescription();
    await gathered;
    window.samples = [];
    setInterval(async () => {
        for (const report of (await peer.getStats()).values()) {
            if (report.type === "inbound-rtp" && report.bytesReceived) {
                samples.push({
                    at_s: report.timestamp / 1000,
                    received_bytes: report.bytesReceived + report.headerBytesReceived,
                    pictures: report.framesDecoded,
                    frozen_s: report.totalFreezesDuration ?? 0,
                    width: report.frameWidth ?? 0,
                    height: report.frameHeight ?? 0,
                });
            }
        }
    }, 100);
    return peer.localDescription.sdp;
}"""
_CANDIDATE = "(candidate) => peer.addIceCandidate({candidate, sdpMLineIndex: 0})"
_ANSWER = "(sdp) => peer.setRemoteDescription({type: 'answer', sdp})"


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """A viewer's totals at one time: seconds since 1970, and since the beginning all else but the picture's size."""

    at_s: float
    received_bytes: int
    pictures: int
    frozen_s: float
    width: int
    height: int


@dataclass
class Viewer:
    """One page with one connection."""

    page: Page
    samples: list[Sample] = field(default_factory=list)

    async def offer(self, configuration: dict[str, Any] | None = None) -> str:
        """The SDP of an offer, with all candidates; `configuration` is the RTCPeerConnection's."""
        return str(await self.page.evaluate(_OFFER, configuration or {}))

    async def accept(self, answer: str) -> None:
        """Take the answer; pictures follow."""
        await self.page.evaluate(_ANSWER, answer)

    async def add_candidate(self, candidate: str) -> None:
        """Take a candidate that came after the answer; an empty one ends them."""
        await self.page.evaluate(_CANDIDATE, candidate)

    async def see(self, pictures: int, within_s: float = 20.0) -> None:
        """Wait for so many more pictures. Errors: TimeoutError."""
        await self.read()
        seen = self.samples[-1].pictures if self.samples else 0
        async with asyncio.timeout(within_s):
            while not self.samples or self.samples[-1].pictures < seen + pictures:
                await asyncio.sleep(0.1)
                await self.read()

    async def read(self) -> None:
        """Fetch what the page wrote down since the last time it was asked."""
        self.samples += [Sample(**sample) for sample in await self.page.evaluate("samples.splice(0)")]

    def between(self, begin_s: float, end_s: float) -> list[Sample]:
        return [sample for sample in self.samples if begin_s <= sample.at_s <= end_s]

    def spans(self, begin_s: float, end_s: float, span_s: float) -> Iterator[list[Sample]]:
        """All spans of `span_s` within a time, each beginning with another sample."""
        for sample in self.between(begin_s, end_s - span_s):
            span = self.between(sample.at_s, sample.at_s + span_s)
            if len(span) > 1:
                yield span

    def longest_freeze_s(self, begin_s: float, end_s: float) -> float:
        """The longest of the freezes that ended meanwhile, from `begin_s` on: frames 150 ms later than the average."""
        pairs = itertools.pairwise(self.between(begin_s, end_s))
        return max(min(new.frozen_s - old.frozen_s, new.at_s - begin_s) for old, new in pairs)

    def longest_pause_s(self, begin_s: float, end_s: float) -> float:
        """The longest time without a new picture, to a tenth of a second at both ends. Unlike a freeze it may go on."""
        pairs = itertools.pairwise(self.between(begin_s, end_s))
        seen = [begin_s, *(new.at_s for old, new in pairs if new.pictures > old.pictures), end_s]
        return max(later - earlier for earlier, later in itertools.pairwise(seen))


def bitrate_bps(span: list[Sample]) -> float:
    """What arrived in a span of samples, with RTP's headers."""
    return (span[-1].received_bytes - span[0].received_bytes) * 8 / (span[-1].at_s - span[0].at_s)


def fps(span: list[Sample]) -> float:
    """Pictures decoded a second in a span of samples."""
    return (span[-1].pictures - span[0].pictures) / (span[-1].at_s - span[0].at_s)


@contextlib.asynccontextmanager
async def viewer(playwright: Playwright, place: Namespace, directory: Path, *flags: str) -> AsyncIterator[Viewer]:
    """Start a Chromium in a network; `directory` gets the script that does it."""
    script = directory / f"chromium-{id(place)}"
    script.write_text(f'#!/bin/sh\nexec {shlex.join(place.command(CHROMIUM))} "$@"\n')
    script.chmod(0o755)
    browser = await playwright.chromium.launch(executable_path=script, args=[*FLAGS, _NO_MDNS, *flags])
    try:
        yield Viewer(await browser.new_page())
    finally:
        await browser.close()

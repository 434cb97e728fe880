"""aiortc as it is: a stock connection a viewer, and tracks that give the packets of one shared loop.

main.py CLIP.h264
"""

from __future__ import annotations

import asyncio
import json
import sys
from fractions import Fraction

import av
import av.stream
from aiortc import MediaStreamTrack, RTCConfiguration, RTCPeerConnection, RTCRtpSender, RTCSessionDescription
from aiortc.mediastreams import MediaStreamError

FPS = 30
WAITING = 30  # pictures


class Track(MediaStreamTrack):
    """One viewer's place in the loop."""

    kind = "video"

    def __init__(self) -> None:
        super().__init__()
        self.waiting: asyncio.Queue[av.Packet[av.stream.Stream]] = asyncio.Queue(WAITING)

    async def recv(self) -> av.Packet[av.stream.Stream]:
        """Wait for the next picture."""
        if self.readyState != "live":
            raise MediaStreamError
        return await self.waiting.get()


async def play(pictures: list[bytes], tracks: set[Track]) -> None:
    """Give every track each picture when it is due; a track that is full loses it."""
    loop = asyncio.get_running_loop()
    began, number = loop.time(), 0
    while True:
        packet: av.Packet[av.stream.Stream] = av.Packet(pictures[number % len(pictures)])
        packet.pts = packet.dts = number
        packet.time_base = Fraction(1, FPS)
        for track in tracks:
            if not track.waiting.full():
                track.waiting.put_nowait(packet)
        number += 1
        await asyncio.sleep(max(0.0, began + number / FPS - loop.time()))


async def answer(offer: str, track: Track) -> RTCPeerConnection:
    """Make a connection that answers with H.264."""
    peer = RTCPeerConnection(RTCConfiguration(iceServers=[]))
    transceiver = peer.addTransceiver(track, direction="sendonly")
    codecs = RTCRtpSender.getCapabilities("video").codecs
    transceiver.setCodecPreferences([codec for codec in codecs if codec.mimeType == "video/H264"])
    await peer.setRemoteDescription(RTCSessionDescription(sdp=offer, type="offer"))
    await peer.setLocalDescription(await peer.createAnswer())
    return peer


async def main(path: str) -> None:
    """Play until the input ends."""
    with av.open(path) as clip:
        pictures = [bytes(packet) for packet in clip.demux(video=0) if packet.size]
    tracks: set[Track] = set()
    viewers: dict[str, tuple[RTCPeerConnection, Track]] = {}
    playing = asyncio.create_task(play(pictures, tracks))
    lines = asyncio.StreamReader(limit=1 << 20)
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
    print(json.dumps({"ready": True}), flush=True)
    while line := await lines.readline():
        command = json.loads(line)
        name = command["id"]
        if command["op"] == "leave":
            peer, track = viewers.pop(name)
            tracks.discard(track)
            await peer.close()
            continue
        track = Track()
        peer = await answer(command["sdp"], track)

        def joined(peer: RTCPeerConnection = peer, track: Track = track) -> None:
            if peer.connectionState == "connected":
                tracks.add(track)

        peer.add_listener("connectionstatechange", joined)
        viewers[name] = peer, track
        print(json.dumps({"id": name, "answer": peer.localDescription.sdp}), flush=True)
    playing.cancel()


asyncio.run(main(sys.argv[1]))

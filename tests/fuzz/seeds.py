"""Makes the seed cases anew from this project's own messages: `python -m tests.fuzz.seeds`.

Two are recordings and stay as they are: the offers of Debian's Chromium and of aiortc. Findings stay too.
"""

from __future__ import annotations

import json
from fractions import Fraction
from pathlib import Path
from random import Random
from typing import Final

import av
from aioice import stun
from aiortc import rtp
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from agent.media import rtcp
from protocol.names import Issuer, Role
from provisioning import ca
from tests.fuzz.target import CORPUS
from tests.kit.pki import DEVICE, new_key, utc_now

_ROOT: Final = Path(__file__).parents[2]
_SID: Final = "AAECAwQFBgcICQoLDA0ODw"
_OURS, _THEIRS = 0xCAFE0001, 0xBEEF0002


def make() -> dict[str, dict[str, bytes]]:
    """Give all of them, by target and name."""
    return {
        "candidate": _candidates(),
        "chain": _certificates(),
        "config": {"example": (_ROOT / "systemd" / "agent.toml").read_bytes().replace(b"\n# ", b"\n#"), **_settings()},
        "csr": _requests(),
        "feedback": _feedback(),
        "h264": _pictures(),
        "jws": _messages(),
        "rtcp": _reports(),
        "stun": _datagrams(),
    }


def _candidates() -> dict[str, bytes]:
    lines = {
        "host": "1 1 udp 2113937151 192.168.1.7 50000 typ host generation 0 network-cost 999",
        "mdns": "315273333 1 udp 2113942271 644a13b2-6aed-4c3d-8661-6d052abf9664.local 51246 typ host",
        "reflexive": "2 1 udp 1677729535 203.0.113.7 40000 typ srflx raddr 192.168.1.7 rport 50000",
        "tcp": "3 1 tcp 1518280447 2001:db8::7 9 typ host tcptype active",
        "mapped": "4 1 UDP 2113937151 ::ffff:127.0.0.1 50000 typ host",
    }
    return {name: f"candidate:{line}".encode() for name, line in lines.items()}


def _settings() -> dict[str, bytes]:
    smallest = '[identity]\nroot = "root.pem"\nest = "https://fleet"\n[broker]\nhost = "mqtt"\n'
    full = '[camera]\nsource = "clip:a.mp4"\nfps = 25\nalways_on = true\nlinger_s = 1.5\n[panel]\non_air_pin = 17\n'
    return {"smallest": smallest.encode(), "full": (smallest + full + '[log]\nlevel = "debug"\n').encode()}


def _requests() -> dict[str, bytes]:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "camera")])
    plain = x509.CertificateSigningRequestBuilder().subject_name(name)
    uri = x509.SubjectAlternativeName([x509.UniformResourceIdentifier(f"urn:camward:device:{DEVICE}")])
    asked = {"plain": plain, "named": plain.add_extension(uri, critical=False)}
    made = {kind: builder.sign(new_key(), hashes.SHA256()) for kind, builder in asked.items()}
    der = {kind: request.public_bytes(Encoding.DER) for kind, request in made.items()}
    pem = made["plain"].public_bytes(Encoding.PEM)
    return {**der, "wrapped": b"raw:" + b"".join(pem.splitlines(keepends=True)[1:-1])}


def _certificates() -> dict[str, bytes]:
    now = utc_now()
    root = ca.make_root(now)
    issuer = ca.make_issuer(Issuer.AUTHORISER, root, now)
    leaf = ca.sign(new_key().public_key(), role=Role.AUTHORISER, name="fleet", issuer=issuer, now=now)
    found = {"leaf": leaf, "issuer": issuer.certificate, "root": root.certificate}
    return {name: certificate.public_bytes(Encoding.DER) for name, certificate in found.items()}


def _messages() -> dict[str, bytes]:
    offer = {"device": "@device", "sid": _SID, "challenge": "@challenge", "grant": "@grant", "sdp": "v=0"}
    offer |= {"reply": "tester", "stream": "main"}
    grant = '{"iss":"fleet","sub":"anna","aud":"@device","scope":"live","iat":@now,"exp":@soon,"jti":"aa",'
    grant += '"cnf":{"jkt":"@jkt"},"session_s":3600}'
    granted = ['{"alg":"ES256","typ":"camward-grant+jws","x5c":@x5c}', grant]
    candidate = {"sid": _SID, "seq": 1, "candidate": "1 1 udp 1 192.0.2.7 50000 typ host", "mid": "0", "mline": 0}
    bye = {"sid": _SID, "seq": 2, "reason": "left"}
    move = {"sid": _SID, "seq": 3, "sdp": "v=0"}
    vectors = json.loads((_ROOT / "protocol" / "vectors.json").read_text())["messages"]
    return {
        "offer": _lines("offer", offer, *granted),
        "candidate": _lines("candidate", candidate),
        "bye": _lines("bye", bye),
        "move": _lines("move", move),
        **{f"as-it-came-{kind}": _vector(vectors, kind) for kind in ("status", "answer", "offer")},
    }


def _lines(kind: str, payload: dict[str, object], *more: str) -> bytes:
    header = f'{{"alg":"ES256","typ":"camward-{kind}+jws","jwk":@jwk}}'
    return "\n".join([header, json.dumps(payload, separators=(",", ":")), *more]).encode()


def _vector(vectors: list[dict[str, str]], kind: str) -> bytes:
    return next(
        entry["message"].encode() for entry in vectors if entry["kind"] == kind and entry["outcome"] == "accepted"
    )


def _reports() -> dict[str, bytes]:
    block = rtp.RtcpReceiverInfo(
        ssrc=_OURS, fraction_lost=9, packets_lost=3, highest_sequence=70_000, jitter=9, lsr=0x12345678, dlsr=98_304
    )
    remb = rtp.pack_remb_fci(500_000, [_OURS])
    fmt = rtp.RTCP_PSFB_FIR
    transport_cc = rtp.pack_rtcp_packet(205, 15, bytes(8) + bytes.fromhex("0000000201d48a00c5000102"))
    compound = bytes(rtp.RtcpRrPacket(ssrc=_THEIRS, reports=[block]))
    compound += bytes(rtp.RtcpSdesPacket(chunks=[rtp.RtcpSourceInfo(ssrc=_THEIRS, items=[(1, b"viewer")])]))
    compound += bytes(rtp.RtcpPsfbPacket(fmt=rtp.RTCP_PSFB_PLI, ssrc=_THEIRS, media_ssrc=_OURS))
    return {
        "compound": compound,
        "nack": bytes(rtp.RtcpRtpfbPacket(fmt=rtp.RTCP_RTPFB_NACK, ssrc=_THEIRS, media_ssrc=_OURS, lost=[1, 2, 5, 99])),
        "remb": bytes(rtp.RtcpPsfbPacket(fmt=rtp.RTCP_PSFB_APP, ssrc=_THEIRS, media_ssrc=0, fci=remb)),
        "fir": bytes(rtp.RtcpPsfbPacket(fmt=fmt, ssrc=_THEIRS, media_ssrc=0, fci=_OURS.to_bytes(4, "big") + bytes(4))),
        "bye": bytes(rtp.RtcpByePacket(sources=[_THEIRS])),
        "transport-cc": transport_cc,
        "clock": rtp.pack_rtcp_packet(207, 0, _THEIRS.to_bytes(4, "big") + bytes.fromhex("04000002") + bytes(range(8))),
        "clock-answer": rtcp.delay_since(rtcp.ReferenceTime(_THEIRS, 7), 0.5, _OURS),
    }


def _feedback() -> dict[str, bytes]:
    trace = _ROOT / "tests" / "agent" / "media" / "traces" / "chromium-weak-then-open.jsonl"
    said = [bytes.fromhex(line[2]) for line in map(json.loads, trace.read_text().splitlines()) if line[1] == "feedback"]
    pairs = {number: (said[number], said[number + 1]) for number in (0, 5, 20)}
    return {f"chromium-{n}": bytes([a[0], len(a)]) + a + b for n, (a, b) in pairs.items()}


def _pictures() -> dict[str, bytes]:
    encoder = av.CodecContext.create("libx264", "w")
    assert isinstance(encoder, av.VideoCodecContext)
    encoder.width, encoder.height, encoder.pix_fmt, encoder.framerate = 96, 96, "yuv420p", Fraction(30)
    encoder.options = {"tune": "zerolatency"}
    frames = (av.VideoFrame.from_bytes(Random(number).randbytes(96 * 96 * 4), 96, 96) for number in (1, 2))  # noqa: S311
    keyframe, picture = (b"".join(map(bytes, encoder.encode(frame))) for frame in frames)
    return {"keyframe": keyframe[:4000], "picture": picture[:2000], "delimited": b"\0\0\1\x09\xf0" + keyframe[:200]}


def _datagrams() -> dict[str, bytes]:
    identifier = bytes(range(12))
    request = stun.Message(stun.Method.BINDING, stun.Class.REQUEST, identifier)
    request.attributes |= {
        "USERNAME": "theirs:ours",
        "PRIORITY": 1853817087,
        "ICE-CONTROLLING": 7,
        "USE-CANDIDATE": None,
    }
    bare = bytes(request)
    request.add_message_integrity(b"password")
    response = stun.Message(stun.Method.BINDING, stun.Class.RESPONSE, identifier)
    response.attributes["XOR-MAPPED-ADDRESS"] = ("192.0.2.7", 50000)
    response.add_message_integrity(b"password")
    error = stun.Message(stun.Method.ALLOCATE, stun.Class.ERROR, identifier)
    error.attributes |= {"ERROR-CODE": (401, "Unauthorized"), "REALM": "camera.example", "NONCE": b"nonce"}
    relayed = stun.Message(stun.Method.ALLOCATE, stun.Class.RESPONSE, identifier)
    relayed.attributes |= {"XOR-RELAYED-ADDRESS": ("2001:db8::7", 50000), "LIFETIME": 600}
    return {
        "request": bytes(request),
        "request-bare": bare,
        "response": bytes(response),
        "error": bytes(error),
        "relayed": bytes(relayed),
        "dtls-alert": bytes.fromhex("15fefd000000000000000000020228"),
    }


if __name__ == "__main__":
    for target, cases in make().items():
        (CORPUS / target).mkdir(parents=True, exist_ok=True)
        for name, case in cases.items():
            (CORPUS / target / name).write_bytes(case)

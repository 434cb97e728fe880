r"""A message on the call topic, from anybody who may write there.

A case that begins with "{" has lines: header and payload of a message, then header and payload of a grant. Both are
signed well, by the keys that they should be signed by, so that what is behind the signatures is reached too. Words
that begin with "@" stand for what changes from run to run. Any other case is a message as it came.
"""

from __future__ import annotations

import base64
import json
import time
from datetime import UTC, datetime

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding

from agent.signaling.calls import Calls, Talk
from agent.signaling.gate import Call, Gate
from protocol import jws, messages
from protocol.errors import ProtocolError
from protocol.names import Role
from tests.fuzz.target import Target
from tests.kit.caller import Caller, TrustTree
from tests.kit.pki import DEVICE

_NOW = time.time()
_TREE = TrustTree(datetime.fromtimestamp(_NOW, UTC))
_AUTHORISER = _TREE.leaf(Role.AUTHORISER, "fleet")
_VIEWER = Caller(device=DEVICE, authoriser=_AUTHORISER)
_KINDS = (
    *(messages.Status, messages.Grant, messages.Offer, messages.Answer, messages.Candidate, messages.Bye),
    *(messages.Renew, messages.Move, messages.Revoke, messages.Telemetry),
)
_WORDS = {
    b"@jwk": json.dumps(jws.public_jwk(_VIEWER.key.public_key())).encode(),
    b"@x5c": json.dumps([base64.b64encode(c.public_bytes(Encoding.DER)).decode() for c in _AUTHORISER.chain]).encode(),
    b"@jkt": _VIEWER.jkt.encode(),
    b"@device": DEVICE.encode(),
    b"@challenge": jws.base64url(bytes(16)).encode(),
    b"@now": b"%d" % _NOW,
    b"@soon": b"%d" % (_NOW + 300),
}


class _OneSession:
    """The sessions of a device; what they are told is well-formed."""

    def add_candidate(self, sid: str, candidate: str) -> None:
        candidate.encode()

    def renew(self, sid: str, life_s: float, scope: frozenset[str]) -> None:
        assert life_s > 0

    def revoke(self, subject: str) -> None:
        subject.encode()

    def end(self, sid: str, reason: str) -> None:
        assert reason in messages.BYE_REASONS


class _EverySid(dict[str, Talk]):
    """Whatever a message names is an open session of our viewer."""

    def get(self, sid: str, default: object = None) -> Talk:  # type: ignore[override]  # never the default
        return Talk(caller="tester", viewer=_VIEWER.jkt, life_s=3600)


def _take(case: bytes) -> None:
    message = _signed(case) if case.startswith(b"{") else case
    gate = Gate(device=DEVICE, root=_TREE.root, now=_NOW, random=bytes)
    _calls(gate).receive(message)
    try:
        payload = jws.peek(message).payload
    except ProtocolError:
        return
    for kind in _KINDS:
        try:
            said = kind.parse(payload)
        except ProtocolError:
            continue
        json.dumps(said.payload()).encode("ascii")


def _calls(gate: Gate) -> Calls:
    def opened(call: Call, *callbacks: object) -> None:
        call.offer.sdp.encode()
        assert call.grant.jkt == _VIEWER.jkt, "a call was let in for another key than that of its grant"

    def say(caller: str, said: messages.Answer | messages.Candidate | messages.Bye) -> None:
        json.dumps(said.payload()).encode("ascii")

    def move(sid: str, offer: str, *callbacks: object) -> None:
        offer.encode()

    calls = Calls(device=DEVICE, gate=gate, open=opened, move=move, sessions=_OneSession(), say=say)
    calls._talks = _EverySid()
    return calls


def _signed(case: bytes) -> bytes:
    for word, meaning in _WORDS.items():
        case = case.replace(word, meaning)
    header, payload, grant_header, grant_payload = (case.split(b"\n", 3) + [b""] * 3)[:4]
    grant = _compact(grant_header, grant_payload.rstrip(b"\n"), _AUTHORISER.key)
    return _compact(header, payload.replace(b"@grant", grant), _VIEWER.key)


def _compact(header: bytes, payload: bytes, key: ec.EllipticCurvePrivateKey) -> bytes:
    said = f"{jws.base64url(header)}.{jws.base64url(payload)}"
    r, s = decode_dss_signature(key.sign(said.encode(), ec.ECDSA(hashes.SHA256())))
    return f"{said}.{jws.base64url(r.to_bytes(32, 'big') + s.to_bytes(32, 'big'))}".encode()


TARGET = Target(
    take=_take,
    most_bytes=4096,
    tokens=(
        *_WORDS,
        *(b"@grant", b'"alg":"ES256"', b'"typ":"camward-', b"offer+jws", b"grant+jws", b"candidate+jws", b"bye+jws"),
        *(b"renew+jws", b"revoke+jws"),
        *(
            b'"jwk":',
            b'"x5c":',
            b'"cnf":{"jkt":',
            b'"sid":',
            b'"seq":',
            b"null",
            b"true",
            b"1e9",
            b"\\ud800",
            b"[",
            b"{}",
        ),
    ),
)

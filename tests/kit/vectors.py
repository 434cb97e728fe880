"""Makes protocol/vectors.json anew: `python -m tests.kit.vectors`. Its keys are made for it and kept nowhere."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

from protocol import jws
from protocol.certificates import thumbprint
from protocol.messages import Message, Status, kind_of
from protocol.names import Issuer, Role
from provisioning import ca
from tests.kit.cast import AUTHORISER, DEVICE, MADE, NOW, OTHER_DEVICE, SECONDS, SID, Cast, Signer, der_base64
from tests.kit.pki import new_key

PATH: Final = Path(__file__).parents[2] / "protocol" / "vectors.json"


def make() -> dict[str, Any]:
    """Give the whole file."""
    cast = Cast()
    vectors = [*_accepted(cast), *_malformed(cast), *_untrusted(cast), *_badly_signed(cast)]
    return {
        "comment": (
            "Judge each message at `now`, as one of `kind` by `signer`. The device's are verified by x5c under "
            "`root`, or by the keys of `device`; the authoriser's by x5c; the viewer's by the jwk in their header."
        ),
        "now": SECONDS,
        "root": der_base64(cast.root.certificate),
        "device": {
            "id": DEVICE,
            "keys": [
                {
                    "jwk": jws.public_jwk(cast.device.key.public_key()),
                    "x5t#S256": jws.base64url(thumbprint(cast.leaf)),
                }
            ],
        },
        "authoriser": AUTHORISER,
        "viewer": {"jwk": cast.viewer.header["jwk"], "jkt": jws.jwk_thumbprint(cast.viewer.header["jwk"])},
        "messages": vectors,
    }


def _accepted(cast: Cast) -> list[dict[str, Any]]:
    good: list[tuple[str, str, Message]] = [
        ("a status", "device", cast.status),
        ("the status that the broker publishes as the will", "device", _offline(cast.status)),
        ("a grant", "authoriser", cast.grant),
        ("an answer", "device", cast.answer),
        ("a candidate of the device", "device", cast.candidate),
        ("the end of the device's candidates", "device", replace(cast.candidate, seq=2, candidate="")),
        ("a bye of the device", "device", replace(cast.bye, reason="privacy")),
        ("a candidate of the viewer", "viewer", cast.candidate),
        ("a bye of the viewer", "viewer", cast.bye),
        ("a renewal", "viewer", cast.renew),
        ("a move", "viewer", cast.move),
        ("a revocation", "authoriser", cast.revoke),
        ("a revocation of everybody's grants", "authoriser", replace(cast.revoke, sub="")),
        ("telemetry", "device", cast.telemetry),
    ]
    vectors = [
        _vector(name, who, kind_of(said), getattr(cast, who).compact(said.payload(), kind_of(said)), "accepted")
        for name, who, said in good
    ]
    vectors.append(_vector("an offer", "viewer", "offer", cast.signed_offer, "accepted"))
    newer = {**cast.status.payload(), "zoom": [1, 2.5, None]}
    vectors.append(_vector("a status with a member of a later version", *_device(cast, "status", newer), "accepted"))
    return vectors


def _malformed(cast: Cast) -> list[dict[str, Any]]:
    status, bye, candidate = cast.status.payload(), cast.bye.payload(), cast.candidate.payload()
    device = cast.device.compact
    wrong: list[tuple[str, str, str, str]] = [
        ("nothing", "device", "bye", ""),
        ("two parts", "device", "bye", ".".join(device(bye, "bye").split(".")[:2])),
        ("four parts", "device", "bye", f"{device(bye, 'bye')}.AAAA"),
        ("a padded header", "device", "bye", device(bye, "bye").replace(".", "=.", 1)),
        ("a payload that is no JSON", *_device(cast, "bye", b"{")),
        ("a payload that is a list", *_device(cast, "bye", [bye])),
        ("a payload in UTF-16", *_device(cast, "bye", json.dumps(bye).encode("utf-16"))),
        ("no algorithm", "device", "bye", device(bye, "bye", alg="none")),
        ("a symmetric algorithm", "device", "bye", device(bye, "bye", alg="HS256")),
        ("another elliptic curve", "device", "bye", device(bye, "bye", alg="ES384")),
        ("an extension that must be understood", "device", "bye", device(bye, "bye", crit=["b64"], b64=False)),
        ("a key by its address", "device", "bye", device(bye, "bye", jku="https://192.0.2.7/keys")),
        ("no typ", "device", "bye", device(bye, "bye", typ=None)),
        ("a bye shown as a status", "device", "status", device(bye, "bye")),
        ("a status shown as an answer", "device", "answer", device(status, "status")),
        ("a device's message without its chain", "device", "bye", device(bye, "bye", x5c=None)),
        ("a chain that is no list", "device", "bye", device(bye, "bye", x5c="MIIB")),
        ("a chain that is no base64", "device", "bye", device(bye, "bye", x5c=["%%%%"])),
        ("a viewer's message without its key", "viewer", "bye", cast.viewer.compact(bye, "bye", jwk=None)),
        ("a viewer that shows its private key", "viewer", "bye", _with_jwk(cast, d="AAAA")),
        ("a viewer with a key on another curve", "viewer", "bye", _with_jwk(cast, crv="P-384")),
        ("a viewer with a key that is no point", "viewer", "bye", _with_jwk(cast, x=jws.base64url(b"\1" * 32))),
        ("a presence that is none", *_device(cast, "status", {**status, "presence": "asleep"})),
        ("fewer than no viewers", *_device(cast, "status", {**status, "viewers": -1})),
        ("a number as text", *_device(cast, "status", {**status, "iat": str(SECONDS)})),
        ("a number that is true", *_device(cast, "candidate", {**candidate, "seq": True})),
        ("a number with a fraction", *_device(cast, "candidate", {**candidate, "seq": 1.5})),
        ("a sid that is too short", *_device(cast, "bye", {**bye, "sid": SID[1:]})),
        ("a sid of another alphabet", *_device(cast, "bye", {**bye, "sid": "+" * 22})),
        ("a reason that is none", *_device(cast, "bye", {**bye, "reason": "because"})),
        ("a candidate that is too long", *_device(cast, "candidate", {**candidate, "candidate": "x" * 513})),
        ("an answer without the hash of its offer", *_device(cast, "answer", _without(cast.answer, "offer_sha256"))),
        ("an answer without an end", *_device(cast, "answer", _without(cast.answer, "session_s"))),
        ("a move without a description", "viewer", "move", cast.viewer.compact(_without(cast.move, "sdp"), "move")),
        ("a renewal without a grant", "viewer", "renew", cast.viewer.compact(_without(cast.renew, "grant"), "renew")),
        (
            "telemetry that counts words",
            *_device(cast, "telemetry", {**cast.telemetry.payload(), "ended": {"x": "1"}}),
        ),
        ("a revocation for no device", "authoriser", "revoke", _revoking(cast, device="camera")),
        ("an answer without SDP", *_device(cast, "answer", _without(cast.answer, "sdp"))),
        ("a grant that lives too long", *_grant(cast, exp=SECONDS + 301)),
        ("a grant that ends before it begins", *_grant(cast, exp=SECONDS)),
        ("a grant for no key", *_grant(cast, cnf={})),
        ("a grant for no device", *_grant(cast, aud="camera")),
        ("an offer that replies elsewhere", *_offer(cast, reply="gateway/#")),
        ("an offer without a challenge", *_offer(cast, challenge="")),
        ("an offer of a stream that is none", *_offer(cast, stream="both")),
    ]
    return [_vector(*entry, "malformed") for entry in wrong]


def _untrusted(cast: Cast) -> list[dict[str, Any]]:
    status, grant = cast.status.payload(), cast.grant.payload()
    stranger = ca.make_issuer(Issuer.DEVICE, ca.make_root(MADE), MADE)
    chained, issuers = cast.chained, cast.issuers
    posing = [
        ("another fleet's device of the same name", chained("device", Role.DEVICE, DEVICE, issuer=stranger)),
        ("another device of the fleet", chained("device", Role.DEVICE, OTHER_DEVICE)),
        ("a certificate that has ended", chained("device", Role.DEVICE, DEVICE, life=timedelta(days=6))),
        ("a certificate that is not valid yet", chained("device", Role.DEVICE, DEVICE, made=NOW + timedelta(days=1))),
        ("a birth certificate", chained("device", Role.BIRTH, DEVICE, issuer=issuers[Issuer.BIRTH])),
        ("an app", chained("device", Role.APP, DEVICE, issuer=issuers[Issuer.CLIENT])),
        ("an authoriser", chained("device", Role.AUTHORISER, DEVICE, issuer=issuers[Issuer.AUTHORISER])),
        (
            "a device that the issuer of apps signed",
            chained("device", Role.DEVICE, DEVICE, issuer=issuers[Issuer.CLIENT]),
        ),
        ("an app that the issuer of devices signed", chained("device", Role.APP, DEVICE)),
        ("a device that the root signed", chained("device", Role.DEVICE, DEVICE, issuer=cast.root)),
    ]
    vectors = [
        _vector(f"a status by {name}", "device", "status", signer.compact(status, "status"), "untrusted")
        for name, signer in posing
    ]
    no_certificate = cast.device.compact(status, "status", x5c=["AAAA"])
    vectors.append(_vector("a chain that is no certificate", "device", "status", no_certificate, "untrusted"))
    by_device = Signer(key=cast.device.key, header=cast.device.header)
    vectors.append(
        _vector("a grant by a device", "authoriser", "grant", by_device.compact(grant, "grant"), "untrusted")
    )
    revoking = by_device.compact(cast.revoke.payload(), "revoke")
    vectors.append(_vector("a revocation by a device", "authoriser", "revoke", revoking, "untrusted"))
    alone = Signer(key=cast.authoriser.key, header={"x5c": cast.authoriser.header["x5c"][:1]})
    vectors.append(
        _vector("a grant without the issuing CA", "authoriser", "grant", alone.compact(grant, "grant"), "untrusted")
    )
    return vectors


def _badly_signed(cast: Cast) -> list[dict[str, Any]]:
    good = cast.device.compact(cast.bye.payload(), "bye")
    header, _, signature = good.split(".")
    other = jws.base64url(json.dumps({**cast.bye.payload(), "reason": "failed"}).encode())
    thief = Signer(key=new_key(), header=cast.device.header)
    answer = cast.device.compact(cast.answer.payload(), "answer")
    forged = jws.base64url(json.dumps({**cast.answer.payload(), "sdp": "v=0\r\n"}).encode())
    wrong = [
        ("another payload", "device", "bye", f"{header}.{other}.{signature}"),
        (
            "another SDP in an answer",
            "device",
            "answer",
            ".".join([answer.split(".")[0], forged, answer.split(".")[2]]),
        ),
        ("the device's chain, and another key", "device", "bye", thief.compact(cast.bye.payload(), "bye")),
        ("the signature of another message", "device", "bye", ".".join([*good.split(".")[:2], answer.split(".")[2]])),
        ("no signature", "device", "bye", ".".join([*good.split(".")[:2], ""])),
        ("half a signature", "device", "bye", ".".join([*good.split(".")[:2], signature[:43]])),
        (
            "a viewer's key that did not sign",
            "viewer",
            "bye",
            _with_jwk(cast, **jws.public_jwk(new_key().public_key())),
        ),
    ]
    return [_vector(*entry, "bad-signature") for entry in wrong]


def _vector(name: str, signer: str, kind: str, message: str, outcome: str) -> dict[str, Any]:
    return {"name": name, "signer": signer, "kind": kind, "outcome": outcome, "message": message}


def _device(cast: Cast, kind: str, payload: Any) -> tuple[str, str, str]:
    return "device", kind, cast.device.compact(payload, kind)


def _grant(cast: Cast, **members: Any) -> tuple[str, str, str]:
    return "authoriser", "grant", cast.authoriser.compact({**cast.grant.payload(), **members}, "grant")


def _offer(cast: Cast, **members: Any) -> tuple[str, str, str]:
    return "viewer", "offer", cast.viewer.compact({**cast.offer.payload(), **members}, "offer")


def _with_jwk(cast: Cast, **members: str) -> str:
    return cast.viewer.compact(cast.bye.payload(), "bye", jwk={**cast.viewer.header["jwk"], **members})


def _revoking(cast: Cast, **members: Any) -> str:
    return cast.authoriser.compact({**cast.revoke.payload(), **members}, "revoke")


def _without(message: Message, member: str) -> dict[str, Any]:
    return {name: value for name, value in message.payload().items() if name != member}


def _offline(status: Status) -> Status:
    return replace(status, presence="offline", challenge="", viewers=0, camera="")


if __name__ == "__main__":
    PATH.write_text(json.dumps(make(), indent=1) + "\n", "ascii")

"""viewer/web/jws.js and protocol/jws.py say and believe the same."""

import json
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from protocol import jws

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]
VECTORS = json.loads((Path(jws.__file__).parent / "vectors.json").read_text())
PAYLOAD = {"sid": "A" * 22, "text": 'naïve ☃ \u0000 "quoted"'}


@pytest.fixture
def key():
    return ec.generate_private_key(ec.SECP256R1())


async def judged(page, message, kind, jwk):
    """What jws.js makes of a message: its payload, or the code of the failure."""
    return await page.evaluate(
        """async ([message, kind, jwk]) => {
            const { peek, verify } = await import('/web/jws.js');
            try {
                const peeked = peek(message);
                await verify(peeked, kind, jwk);
                return peeked.payload;
            } catch ({ code }) {
                return code;
            }
        }""",
        [message, kind, jwk],
    )


async def test_what_the_browser_signs_verifies_in_python(world):
    await world.page.goto(world.origin)
    signed, thumbprint, hashed = await world.page.evaluate(
        """async (payload) => {
            const { sign, thumbprint, sha256 } = await import('/web/jws.js');
            const key = await (await import('/web/keys.js')).viewerKey();
            const signed = await sign('candidate', payload, key);
            return [signed, await thumbprint(key.jwk), await sha256(signed)];
        }""",
        PAYLOAD,
    )
    message = jws.peek(signed)
    assert message.payload == PAYLOAD
    assert jws.verify_by_own_key(message, "candidate") == thumbprint
    assert jws.sha256(signed) == hashed


async def test_what_python_signs_verifies_in_the_browser(world, key):
    await world.page.goto(world.origin)
    signed = jws.sign("bye", PAYLOAD, key=key)
    jwk = jws.public_jwk(key.public_key())
    assert await judged(world.page, signed, "bye", jwk) == PAYLOAD
    assert await judged(world.page, signed, "answer", jwk) == "malformed"
    assert await judged(world.page, signed, "bye", {**jwk, "d": jwk["x"]}) == "malformed"
    assert await judged(world.page, signed, "bye", {**jwk, "crv": "P-384"}) == "malformed"
    stranger = jws.public_jwk(ec.generate_private_key(ec.SECP256R1()).public_key())
    assert await judged(world.page, signed, "bye", stranger) == "bad-signature"


def encoded(value):
    return jws.base64url(json.dumps(value).encode() if not isinstance(value, bytes) else value)


HEADER = {"alg": "ES256", "typ": "camward-bye+jws"}


@pytest.mark.parametrize(
    "message",
    [
        "",
        "a.b",
        "a.b.c.d",
        f"{encoded({**HEADER, 'alg': 'none'})}.{encoded({})}.",
        f"{encoded({**HEADER, 'alg': 'HS256'})}.{encoded({})}.AAAA",
        f"{encoded({**HEADER, 'crit': ['b64'], 'b64': False})}.{encoded({})}.AAAA",
        f"{encoded({'alg': 'ES256'})}.{encoded({})}.AAAA",
        f"{encoded(HEADER)}=.{encoded({})}.AAAA",
        f"{encoded(HEADER)}.{encoded([])}.AAAA",
        f"{encoded(HEADER)}.{encoded(b'{')}.AAAA",
        f"{encoded(HEADER)}.{encoded(bytes([0xFF, 0xFE]))}.AAAA",
        f"{encoded(HEADER)}.{encoded({})}.A" + "A" * jws.MAX_MESSAGE,
    ],
)
async def test_what_is_no_message_of_ours_is_refused_by_both(world, key, message):
    await world.page.goto(world.origin)
    assert await judged(world.page, message, "bye", jws.public_jwk(key.public_key())) == "malformed"
    with pytest.raises(jws.Malformed):
        jws.peek(message)


async def test_one_message_with_every_part_changed_in_turn_is_never_believed(world, key):
    await world.page.goto(world.origin)
    signed = jws.sign("bye", PAYLOAD, key=key)
    jwk = jws.public_jwk(key.public_key())
    for at in range(0, len(signed), 17):
        changed = signed[:at] + ("A" if signed[at] != "A" else "B") + signed[at + 1 :]
        assert await judged(world.page, changed, "bye", jwk) in {"malformed", "bad-signature"}


async def test_the_browser_judges_the_protocols_vectors_as_python_does(world):
    """All that a device signs for viewers; of what viewers sign only the signature: a viewer never reads theirs."""
    await world.page.goto(world.origin)
    seen = {"candidate", "bye"}
    vectors = [
        v
        for v in VECTORS["messages"]
        if (v["signer"] == "device" and v["kind"] != "telemetry") or (v["signer"] == "viewer" and v["kind"] in seen)
    ]
    outcomes = await world.page.evaluate(
        """async ([described, vectors]) => {
            const { peek, verify } = await import('/web/jws.js');
            const { Device } = await import('/web/device.js');
            const device = new Device(described);
            const judge = async ({ message, kind, signer }) => {
                try {
                    const peeked = peek(message);
                    if (signer === 'device') await device.believe(peeked, kind);
                    else await verify(peeked, kind, peeked.header.jwk);
                    return 'accepted';
                } catch ({ code, message }) {
                    return code ?? message;
                }
            };
            return Promise.all(vectors.map(judge));
        }""",
        [VECTORS["device"], vectors],
    )
    judged = {vector["name"]: outcome for vector, outcome in zip(vectors, outcomes, strict=True)}
    assert judged == {vector["name"]: vector["outcome"] for vector in vectors}
    assert {"accepted", "malformed", "untrusted", "bad-signature"} == set(outcomes)
    ask = "(jwk) => import('/web/jws.js').then(({ thumbprint }) => thumbprint(jwk))"
    assert await world.page.evaluate(ask, VECTORS["viewer"]["jwk"]) == VECTORS["viewer"]["jkt"]

/** Believing what a device says: signed by a certificate that came with the grant, under the key that came for it. */

import { fromBase64, sha256, verify } from "./jws.js";
import { Failure } from "./sentences.js";

const BYE_REASONS = [
  "busy", "expired", "forbidden", "privacy", "codec", "setup-timeout", "revoked", "shutdown", "replaced", "left", "failed",
  "no-camera", "no-candidate", "relay-refused",
];

const CAMERA_NAME = /^[a-z0-9]([a-z0-9-]{0,30}[a-z0-9])?$/;

const text = (most, least = 1) => (value) =>
  typeof value === "string" && value.length >= least && value.length <= most && value.isWellFormed();
const integer = (most) => (value) => Number.isInteger(value) && value >= 0 && value <= most;
const base64url = (length) => (value) => typeof value === "string" && value.length === length && /^[\w-]+$/.test(value);
const names = (most) => (value) =>
  Array.isArray(value) && value.length <= most && value.every((name) => typeof name === "string" && CAMERA_NAME.test(name));
const oneOf = (...allowed) => (value) => allowed.includes(value);

/** What each kind must carry (protocol/messages/); members that are not known are passed over. */
const MEMBERS = {
  status: {
    device: text(26), presence: oneOf("online", "offline"), iat: integer(2 ** 53), challenge: text(64, 0),
    viewers: integer(1000), camera: text(64, 0), cameras: names(4), software: text(64, 0),
  },
  answer: { device: text(26), sid: base64url(22), offer_sha256: base64url(43), sdp: text(32 * 1024), session_s: integer(86_400) },
  candidate: { sid: base64url(22), seq: integer(1_000_000), candidate: text(512, 0), mid: text(32, 0), mline: integer(16) },
  bye: { sid: base64url(22), seq: integer(1_000_000), reason: oneOf(...BYE_REASONS) },
};

/** One device as a grant describes it: `keys` is [{jwk, "x5t#S256"}]. */
export class Device {
  #keys;

  constructor({ id, label, keys }) {
    this.id = id;
    this.label = label;
    this.#keys = keys;
  }

  /** Know it by these keys from now on: those that a fresh grant names. */
  renew(keys) {
    this.#keys = keys;
  }

  /**
   * Give {payload, der}, the leaf's bytes, of a peeked message of `kind` that this device signed.
   * Failure `malformed`, `bad-signature`, or `untrusted` for a certificate that the grant did not name.
   */
  async believe(message, kind) {
    const chain = message.header.x5c;
    if (!Array.isArray(chain) || !chain.length) throw new Failure("malformed", "x5c is a list of base64 certificates");
    const der = fromBase64(chain[0]);
    const hash = await sha256(der);
    const known = this.#keys.find((key) => key["x5t#S256"] === hash);
    if (!known) throw new Failure("untrusted", "the certificate is none of those that the grant named");
    await verify(message, kind, known.jwk);
    this.#read(message.payload, kind);
    return { payload: message.payload, der };
  }

  #read(payload, kind) {
    for (const [name, fits] of Object.entries(MEMBERS[kind])) {
      if (!fits(payload[name])) throw new Failure("malformed", `${kind}: ${name} is missing or not of its form`);
    }
    if ("device" in MEMBERS[kind] && payload.device !== this.id) throw new Failure("untrusted", "it speaks for another device");
  }
}

/** Compact JWS, ES256 only (RFC 7515, RFC 7518 section 3.4): sign, peek, verify. As strict as protocol/jws.py. */

import { Failure } from "./sentences.js";

export const MAX_MESSAGE = 64 * 1024;
const HEADERS = new Set(["alg", "typ", "x5c", "jwk"]);
const P256 = { name: "ECDSA", namedCurve: "P-256" };
const ES256 = { name: "ECDSA", hash: "SHA-256" }; // WebCrypto's signature is r||s, as JWS wants it

/** Name the `typ` of a kind of message (RFC 8725, section 3.11). */
export const typOf = (kind) => `camward-${kind}+jws`;

/** Base64url without padding (RFC 7515, section 2). */
export function base64url(bytes) {
  let binary = "";
  for (const byte of new Uint8Array(bytes)) binary += String.fromCharCode(byte);
  return btoa(binary).replaceAll("+", "-").replaceAll("/", "_").replace(/=+$/, "");
}

/** The bytes of a base64url string. Failure `malformed` for any other alphabet, padding or stray bits. */
export function fromBase64url(text) {
  if (!/^[A-Za-z0-9_-]*$/.test(text) || text.length % 4 === 1) throw new Failure("malformed", "not base64url");
  const bytes = decoded(text.replaceAll("-", "+").replaceAll("_", "/"));
  if (base64url(bytes) !== text) throw new Failure("malformed", "not canonical base64url");
  return bytes;
}

/** The bytes of a standard base64 string with padding, as x5c has it (RFC 7515, section 4.1.6). */
export function fromBase64(text) {
  if (typeof text !== "string" || !/^[A-Za-z0-9+/]+={0,2}$/.test(text) || text.length % 4 !== 0) {
    throw new Failure("malformed", "not base64");
  }
  return decoded(text);
}

const decoded = (base64) => Uint8Array.from(atob(base64), (character) => character.charCodeAt(0));

/** Sign `payload` as a message of `kind` with a WebCrypto key whose public `jwk` goes into the header. */
export async function sign(kind, payload, { privateKey, jwk }) {
  const header = { alg: "ES256", typ: typOf(kind), jwk };
  const signed = [header, payload].map((part) => base64url(utf8(JSON.stringify(part)))).join(".");
  const compact = `${signed}.${base64url(await crypto.subtle.sign(ES256, privateKey, utf8(signed)))}`;
  if (compact.length > MAX_MESSAGE) throw new Failure("too-long", `a message has at most ${MAX_MESSAGE} bytes`);
  return compact;
}

/** Take a message apart without believing it: {compact, typ, header, payload}. Failure `malformed`. */
export function peek(compact) {
  if (typeof compact !== "string" || compact.length > MAX_MESSAGE) {
    throw new Failure("malformed", `a message is a string of at most ${MAX_MESSAGE} bytes`);
  }
  const parts = compact.split(".");
  if (parts.length !== 3) throw new Failure("malformed", "not a compact JWS");
  const [header, payload] = parts.slice(0, 2).map(jsonObject);
  const known = Object.keys(header).every((name) => HEADERS.has(name));
  if (header.alg !== "ES256" || !known || typeof header.typ !== "string") {
    throw new Failure("malformed", "the header has alg ES256, a typ, and x5c or jwk");
  }
  return { compact, typ: header.typ, header, payload };
}

/** Believe a peeked message of `kind` that the holder of the public P-256 `jwk` signed. Failure `malformed`, `bad-signature`. */
export async function verify(message, kind, jwk) {
  if (message.typ !== typOf(kind)) throw new Failure("malformed", `not a message of the kind ${kind}`);
  const key = await publicKey(jwk);
  const end = message.compact.lastIndexOf(".");
  const [signed, signature] = [message.compact.slice(0, end), message.compact.slice(end + 1)];
  try {
    if (await crypto.subtle.verify(ES256, key, fromBase64url(signature), utf8(signed))) return;
  } catch (cause) {
    throw new Failure("bad-signature", "the signature is cut or malformed", { cause });
  }
  throw new Failure("bad-signature", "the signature does not verify");
}

/** RFC 7638 thumbprint of a public P-256 JWK, base64url. */
export async function thumbprint({ kty, crv, x, y }) {
  return sha256(JSON.stringify({ crv, kty, x, y }));
}

/** SHA-256 of a compact message or of bytes, base64url: how an answer names its offer, and `x5t#S256` a certificate. */
export async function sha256(content) {
  return base64url(await crypto.subtle.digest("SHA-256", typeof content === "string" ? utf8(content) : content));
}

async function publicKey(jwk) {
  if (jwk?.kty !== "EC" || jwk.crv !== "P-256" || "d" in jwk) throw new Failure("malformed", "jwk is a public P-256 key");
  try {
    return await crypto.subtle.importKey("jwk", { kty: jwk.kty, crv: jwk.crv, x: jwk.x, y: jwk.y }, P256, false, ["verify"]);
  } catch (cause) {
    throw new Failure("malformed", "jwk is a public P-256 key", { cause });
  }
}

function jsonObject(part) {
  let value;
  try {
    value = JSON.parse(new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(fromBase64url(part)));
  } catch (cause) {
    throw new Failure("malformed", "header and payload are JSON", { cause });
  }
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    throw new Failure("malformed", "header and payload are JSON objects");
  }
  return value;
}

function utf8(text) {
  return new TextEncoder().encode(text);
}

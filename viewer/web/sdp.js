/** What the viewer says and checks in SDP: H.264 alone, and fingerprints of the verified certificate alone. */

import { Failure } from "./sentences.js";

const FINGERPRINT = /^a=fingerprint:(sha-256|sha-384|sha-512) ([0-9A-F:]+)$/i;

/** The H.264 formats that this browser can receive, with their retransmission (RFC 4588); empty without H.264. */
export function h264Formats() {
  const codecs = globalThis.RTCRtpReceiver?.getCapabilities?.("video")?.codecs ?? [];
  const of = (type) => codecs.filter(({ mimeType }) => mimeType.toLowerCase() === type);
  const h264 = of("video/h264");
  return h264.length ? [...h264, ...of("video/rtx")] : [];
}

/** Add the one section of an offer: video to receive, as H.264. Failure `no-h264`. */
export function receiveH264(connection) {
  const formats = h264Formats();
  if (!formats.length) throw new Failure("no-h264");
  const transceiver = connection.addTransceiver("video", { direction: "recvonly" });
  transceiver.setCodecPreferences(formats);
  return transceiver;
}

/** Demand one fingerprint or more in an SDP, all of the certificate `der` (RFC 8122). Failure `wrong-fingerprint`. */
export async function demandFingerprint(sdp, der) {
  const lines = sdp.split(/[\r\n]+/).filter((line) => /fingerprint/i.test(line));
  const equal = await Promise.all(lines.map(async (line) => {
    const [, algorithm, value] = FINGERPRINT.exec(line) ?? [];
    return Boolean(algorithm) && value.toUpperCase() === (await fingerprint(der, algorithm));
  }));
  if (!equal.length || equal.includes(false)) {
    throw new Failure("wrong-fingerprint", "the answer's fingerprint is not that of the certificate that signed it");
  }
}

/** A hash of a certificate the way SDP and WebRTC statistics write it: AA:BB:... */
export async function fingerprint(der, algorithm = "sha-256") {
  const hash = new Uint8Array(await crypto.subtle.digest(algorithm.toUpperCase(), der));
  return Array.from(hash, (byte) => byte.toString(16).padStart(2, "0").toUpperCase()).join(":");
}

/** One plain sentence for every code that a refusal or a failure carries. */

const SENTENCES = {
  // What the device says in a bye (protocol/messages/calls.py, BYE_REASONS).
  busy: "The camera serves as many viewers as it can already; try again when one of them has left.",
  expired: "The permission for this call has run out; call again to get a new one.",
  forbidden: "You may not watch this camera; ask whoever runs the fleet for access.",
  privacy: "The camera's privacy switch is on, and it stays dark until somebody turns the switch off.",
  codec: "The camera and this browser have no video format in common; try another browser.",
  "setup-timeout": "No connection to the camera came about in time; it may be starting, so try again, and check both networks.",
  revoked: "This camera was taken out of the fleet and is not trusted any more.",
  shutdown: "The camera is being switched off or restarted; try again in a minute.",
  replaced: "A newer call from this browser took the place of this one.",
  left: "The camera ended the call.",
  failed: "The camera ended the call because of a fault of its own; try again, and read its log if that does not help.",
  "no-camera": "The device has no camera of that name; choose another one.",
  "no-candidate": "The camera finds no network address that it may be reached at; check its network and its relay server.",
  "relay-refused":
    "The relay server does not accept the camera's credential; whoever runs the fleet has to renew it on the camera.",
  // What the fleet service says.
  offline: "The camera is not connected to its fleet; check its power and its network.",
  unknown: "The fleet does not know this camera; load the page again to see which cameras there are.",
  "not-enrolled": "This camera has not been enrolled yet; run camward enroll on it first.",
  "signed-out": "You are signed out; sign in with a new code.",
  code: "This sign-in code is wrong, used up or too old; ask for a new one.",
  rate: "That was too often in a short time; wait a minute and try again.",
  "too-long": "The fleet service found a message of this call too long; load the page again and retry.",
  broker: "The fleet service has lost its message broker and cannot reach any camera; try again soon.",
  unreachable: "The fleet service does not answer; check your network and whether the service runs.",
  "relay-closed": "The connection to the fleet service broke before the call stood; try again.",
  // What this browser finds out itself.
  "no-webcrypto": "This page works only over https or on localhost, because the browser gives other pages no keys.",
  "no-webrtc": "This browser has no WebRTC, or it is switched off, so it cannot show a camera.",
  "no-h264":
    "This browser cannot play H.264 over WebRTC, which is what the camera sends; use Chromium, Chrome, Edge or Safari, " +
    "or switch on the OpenH264 plugin of Firefox.",
  "untrusted-status": "What claims to be this camera does not carry its signature, so it was not called.",
  "untrusted-answer":
    "The answer to this call was not signed by this camera, so no picture was shown; somebody in between may be interfering.",
  "wrong-fingerprint":
    "The encrypted connection was not made with this camera's certificate, so no picture was shown; " +
    "somebody in between may be interfering.",
  "bad-answer": "This browser could not use the camera's answer; update the browser or the camera.",
  "ice-failed": "There is no network path to the camera, or it broke; check both networks and try again.",
  "relay-credential":
    "The relay server does not accept the credential that came with this call; try again, and tell whoever runs the fleet " +
    "if that does not help.",
  "no-picture": "The camera is connected but sends no picture; try again, and read its log if that does not help.",
  "play-refused": "This browser waits for a click before it plays; press Play.",
  fault: "This page met a fault of its own; load it again.",
  still: "The picture stands still because nothing arrives from the camera.",
};

/** Say a code as one sentence; a code that is not known is named. */
export function sentence(code) {
  if (Object.hasOwn(SENTENCES, code)) return SENTENCES[code];
  return `The call was refused for a reason that this page does not know (${code}).`;
}

/** All codes that have a sentence of their own. */
export const CODES = Object.keys(SENTENCES);

/** What ends a call: `code` for programs, `sentence` for people, the error's message for the console. */
export class Failure extends Error {
  constructor(code, why = code, options = undefined) {
    super(why, options);
    this.code = code;
  }

  get sentence() {
    return sentence(this.code);
  }
}

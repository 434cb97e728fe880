/** A camera's picture in a <video>, shown only once it is certain which camera it comes from. */

import { CallSocket } from "./call.js";
import { certificate } from "./der.js";
import { Device } from "./device.js";
import { Figures } from "./figures.js";
import { Fleet } from "./fleet.js";
import { viewerKey } from "./keys.js";
import { Mover } from "./moving.js";
import { Peer } from "./peer.js";
import { h264Formats } from "./sdp.js";
import { Failure, sentence } from "./sentences.js";

const SETUP_MS = 15_000;
const STATUS_MS = 5_000; // statuses come with the connection; a device that has none by then is not there
const FIGURES_MS = 1_000;
const STEADY_MS = 10_000; // a picture that stood for this long has earned another call of its own
const RENEW_AT = 2 / 3; // of a session's life; a try that fails is followed by another at 2/3 of what is left
const RENEW_MS = 1_000; // not more often than that
const CREDENTIAL_MS = 60_000; // a fleet may let a relay's credential end so soon
const GRANT_MS = 1_000; // for a fresh one, while the session moves
const PATH = new Set(["ice-failed", "left"]); // ends of a connection which are not the session's
const CALLED_AGAIN = new Set(["expired", "ice-failed", "relay-closed"]);

/** The code of what keeps this browser or page from showing any camera, or null. */
export function obstacle() {
  if (!globalThis.isSecureContext || !globalThis.crypto?.subtle) return "no-webcrypto";
  if (!globalThis.RTCPeerConnection) return "no-webrtc";
  return h264Formats().length ? null : "no-h264";
}

/**
 * Shows one device in one <video>. Events, each with a `detail`:
 *
 * - `state` {state}: calling, connecting, live, reconnecting (the last picture stays while the session moves), ended
 * - `cameras` {names, chosen}: what the device has, where it is more than one, and which of them is called
 * - `granted`: the Device of the new grant, whose `believe` verifies what it says
 * - `identity` {device, label, camera, software, subject, notAfter, fingerprint, dtlsFingerprint, origin}: verified, in DTLS too
 * - `figures` {width, height, fps, bitrateBps, roundTripMs, latencyMs, latencyWithinMs, packetsLost, framesDecoded,
 *   firstPictureMs}: once a second
 * - `failed` {code, message, again}: `again` says that one new call is made by itself
 * - `blocked` {code, message}: the browser wants a click, then `play()`
 */
export class CamwardViewer extends EventTarget {
  #video;
  #device;
  #camera;
  #fleet;
  #calls;
  #ownCalls;
  #state = "ended";
  #attempt = 0; // rises with each call and each end: what an older one waited for is dropped
  #callsLeft = 0;
  #startedMs = 0;
  #liveMs = 0;
  #firstPictureMs = null;
  #peer = null;
  #mover = null;
  #challenge = "";
  #iceServers = []; // the newest
  #grantedMs = 0; // when they came
  #deadline = null;
  #looking = null;
  #renewing = null;
  #renewed = null; // how the last renewal was planned, should the service not have passed it on
  #listening = null;

  /**
   * `camera` names one of the device's, where it has several; without it that is the first. `calls` is a CallSocket to
   * share; without one the viewer opens its own while it runs.
   */
  constructor({ video, device, camera = "", origin = location.origin, fetch = undefined, calls = undefined }) {
    super();
    this.#video = video;
    this.#device = device;
    this.#camera = camera;
    this.#fleet = new Fleet(origin, fetch);
    this.#ownCalls = !calls;
    this.#calls = calls ?? new CallSocket(origin);
  }

  get state() {
    return this.#state;
  }

  /** Call the device; whatever comes of it comes as events. Starts anew when it runs already. */
  start() {
    this.stop();
    this.#startedMs = performance.now();
    this.#firstPictureMs = null;
    this.#callsLeft = 1;
    this.#listening = new AbortController();
    const { signal } = this.#listening;
    globalThis.addEventListener("pagehide", () => this.stop(), { signal });
    this.#calls.addEventListener("message", ({ detail }) => this.#message(detail), { signal });
    this.#calls.addEventListener("refused", ({ detail }) => this.#refused(detail), { signal });
    this.#calls.addEventListener("closed", () => this.#relayClosed(), { signal });
    globalThis.addEventListener("online", () => this.#mover?.elsewhere(), { signal });
    this.#watchNetwork(signal);
    this.#call("");
  }

  /** A browser that knows what kind of network it is in says when that changes: Wi-Fi, or a phone's. */
  #watchNetwork(signal) {
    const { connection } = navigator;
    let known = connection?.type;
    const look = () => {
      if (connection.type === known) return; // its estimates change all the time
      known = connection.type;
      this.#mover?.elsewhere();
    };
    connection?.addEventListener("change", look, { signal });
  }

  /** Say bye and show nothing more. Harmless when stopped. */
  stop() {
    this.#drop();
    this.#ended();
  }

  /** Play after the browser wanted a click; to be called from within one. */
  async play() {
    const peer = this.#peer;
    this.#video.requestVideoFrameCallback?.(() => this.#pictured(peer));
    try {
      await this.#video.play();
    } catch (error) {
      if (error.name !== "NotAllowedError") return; // another picture took this one's place
      clearTimeout(this.#deadline); // people may take their time
      this.#tell("blocked", { code: "play-refused", message: sentence("play-refused") });
    }
  }

  async #call(staleChallenge) {
    const attempt = ++this.#attempt;
    this.#enter("calling");
    this.#deadline = setTimeout(() => this.#fail(new Failure(this.#missing())), SETUP_MS);
    try {
      const code = obstacle();
      if (code) throw new Failure(code);
      this.#calls.open();
      const key = await viewerKey();
      const { grant, caller, device: described, ice_servers: iceServers } = await this.#grant(key.jwk);
      if (attempt !== this.#attempt) return;
      const device = new Device({ ...described, id: this.#device });
      this.#tell("granted", device);
      const status = await newestStatus(this.#calls, device, staleChallenge);
      if (attempt !== this.#attempt) return;
      this.#challenge = status.challenge;
      this.#tell("cameras", { names: status.cameras, chosen: this.#camera || (status.cameras[0] ?? "") });
      const send = (message) => this.#calls.send(device.id, message);
      const peer = new Peer({ device, key, send });
      this.#peer = peer;
      this.#mover = new Mover({
        make: (resumes) => new Peer({ device, key, send, resumes, regrant: () => this.#regrant(device, key.jwk) }),
        anew: () => this.#anew(device, key.jwk),
        onSilent: () => this.#enter("reconnecting"),
        onBack: () => this.#pictured(this.#peer),
        onMoved: (next) => this.#moved(next),
        onLost: (failure) => this.#fail(failure),
      });
      peer.addEventListener("answered", ({ detail }) => {
        this.#renewLater(attempt, device, key.jwk, 1000 * detail.sessionS, performance.now() + 1000 * detail.sessionS);
        this.#enter("connecting");
      });
      this.#heed(peer);
      peer.addEventListener("connected", () => this.#video.srcObject ?? this.#show(peer, device, status));
      await peer.call({ grant, caller, iceServers, challenge: status.challenge, camera: this.#camera });
    } catch (error) {
      if (attempt !== this.#attempt) return;
      this.#fail(error instanceof Failure ? error : new Failure("fault", error.message, { cause: error }));
    }
  }

  async #grant(jwk) {
    const granted = await this.#fleet.grant(this.#device, jwk);
    this.#iceServers = granted.ice_servers;
    this.#grantedMs = performance.now();
    return granted;
  }

  /** Ask for a fresh grant while the session moves, and know the device by it. Gives whether it came soon. */
  #regrant(device, jwk) {
    const late = new Promise((resolve) => setTimeout(resolve, GRANT_MS, false));
    const asked = this.#grant(jwk).then(({ device: described }) => {
      device.renew(described.keys);
      return true;
    });
    return Promise.race([late, asked.catch(({ message }) => console.warn("camward: no fresh grant", message))]);
  }

  /** Connect from wherever the browser is now. Gives the ICE servers for there, or null when that did not come about. */
  async #anew(device, jwk) {
    if (!(await this.#calls.anew())) return null;
    const ends = this.#iceServers.some(({ credential }) => credential);
    if (ends && performance.now() - this.#grantedMs > CREDENTIAL_MS) await this.#regrant(device, jwk);
    return this.#iceServers;
  }

  /** Ask for a fresh grant in time, so that the session goes on; without one it ends when its grant says. */
  #renewLater(attempt, device, jwk, sessionMs, endsMs) {
    clearTimeout(this.#renewing);
    this.#renewing = setTimeout(async () => {
      let ends = endsMs;
      try {
        const { grant, device: described } = await this.#grant(jwk);
        if (attempt !== this.#attempt) return;
        device.renew(described.keys);
        (this.#mover.speaker ?? this.#peer).renew(grant);
        this.#renewed = [attempt, device, jwk, sessionMs, endsMs];
        ends = performance.now() + sessionMs;
      } catch (error) {
        console.warn("camward: not renewed yet", error.message);
      }
      if (attempt === this.#attempt) this.#renewLater(attempt, device, jwk, sessionMs, ends);
    }, Math.max(RENEW_MS, (endsMs - performance.now()) * RENEW_AT));
  }

  /** What the call still waited for when its time was over. */
  #missing() {
    if (!this.#peer?.verified) return "setup-timeout";
    return this.#video.srcObject ? "no-picture" : "ice-failed";
  }

  #message({ device, message }) {
    const peer = this.#mover?.speaker ?? this.#peer;
    if (device === this.#device && peer && message.payload.sid === peer.sid) peer.receive(message);
  }

  /** The service could not pass something on; a picture that stands does not need it, but for a camera that was put out. */
  #refused({ device, code }) {
    if (device !== this.#device || !this.#peer) return;
    if (!["live", "reconnecting"].includes(this.#state) || code === "revoked") return this.#fail(new Failure(code));
    const renewed = this.#renewed; // it may have been this one
    this.#renewed = null;
    if (renewed) this.#renewLater(...renewed);
  }

  #relayClosed() {
    if (this.#peer && !this.#video.srcObject) this.#fail(new Failure("relay-closed"));
  }

  #show(peer, device, status) {
    this.#enter("connecting");
    const { der, fingerprint } = peer.verified;
    this.#tell("identity", {
      device: device.id, label: device.label, camera: this.#camera || status.camera, software: status.software,
      ...certificate(der), fingerprint, dtlsFingerprint: peer.dtlsFingerprint, origin: this.#fleet.origin,
    });
    Object.assign(this.#video, { muted: true, playsInline: true, autoplay: true, srcObject: peer.stream });
    this.play();
    this.#look(peer);
  }

  /** The session goes on over this connection. The last picture of the other one stays until its first is there. */
  #moved(peer) {
    const before = this.#peer;
    this.#peer = peer;
    const shown = this.#video.srcObject;
    const tracks = shown.getTracks();
    for (const track of peer.stream.getTracks()) shown.addTrack(track);
    for (const track of tracks) shown.removeTrack(track);
    before.close();
    this.#heed(peer);
    this.#look(peer);
    this.play();
  }

  #heed(peer) {
    peer.addEventListener("interrupted", () => peer === this.#peer && !this.#mover.moving && this.#mover.elsewhere());
    peer.addEventListener("over", ({ detail }) => {
      if (peer !== this.#peer) return;
      if (this.#mover.moving && PATH.has(detail.code)) return; // the other one decides
      this.#fail(detail);
    });
  }

  #look(peer) {
    this.#mover.follow(peer);
    clearInterval(this.#looking);
    const figures = new Figures(this.#video);
    this.#looking = setInterval(() => this.#measure(peer, figures), FIGURES_MS);
  }

  async #measure(peer, figures) {
    const taken = figures.take(await peer.stats, performance.now());
    if (peer !== this.#peer) return;
    const unseen = document.hidden || !this.#video.requestVideoFrameCallback; // then no callback tells of the first frame
    if (unseen && taken.framesDecoded > 0 && this.#state !== "live" && !this.#mover.moving) this.#pictured(peer);
    this.#tell("figures", { ...taken, firstPictureMs: this.#firstPictureMs });
  }

  /** There is a picture, if it moves: a <video> that waits for a click shows its first one. */
  #pictured(peer) {
    if (peer === this.#peer && !this.#video.paused) this.#live();
  }

  #live() {
    clearTimeout(this.#deadline);
    this.#firstPictureMs ??= Math.round(performance.now() - this.#startedMs);
    this.#liveMs = performance.now();
    this.#enter("live");
  }

  #fail(failure) {
    const stood = ["live", "reconnecting"].includes(this.#state);
    if (stood && performance.now() - this.#liveMs > STEADY_MS) this.#callsLeft = 1;
    const stale = failure.code === "expired" && !this.#peer?.verified ? this.#challenge : "";
    this.#drop();
    const again = CALLED_AGAIN.has(failure.code) && this.#callsLeft > 0;
    const attempt = this.#attempt;
    this.#tell("failed", { code: failure.code, message: failure.sentence, again });
    if (attempt !== this.#attempt) return; // whoever listened has stopped or started this viewer
    if (!again) return this.#ended();
    this.#callsLeft -= 1;
    this.#call(stale);
  }

  #drop() {
    this.#attempt += 1;
    clearTimeout(this.#deadline);
    clearInterval(this.#looking);
    clearTimeout(this.#renewing);
    this.#renewed = null;
    this.#mover?.stop();
    this.#peer?.close();
    this.#mover = this.#peer = null;
    this.#video.srcObject = null;
  }

  #ended() {
    this.#listening?.abort();
    if (this.#ownCalls) this.#calls.close();
    this.#enter("ended");
  }

  #enter(state) {
    if (state === this.#state) return;
    this.#state = state;
    this.#tell("state", { state });
  }

  #tell(type, detail) {
    this.dispatchEvent(new CustomEvent(type, { detail }));
  }
}

/**
 * The payload of the newest status that `device` signed, with another challenge than `stale`.
 * Failure `offline`, `untrusted-status`, `relay-closed`, or `expired` when no new challenge came.
 */
function newestStatus(calls, device, stale) {
  const listening = new AbortController();
  let lacking = "offline";
  const answer = new Promise((resolve, reject) => {
    const look = async ({ message }) => {
      try {
        const { payload } = await device.believe(message, "status");
        if (payload.presence === "offline") reject(new Failure("offline"));
        else if (payload.challenge !== stale) resolve(payload);
        else lacking = "expired";
      } catch {
        lacking = "untrusted-status";
      }
    };
    calls.addEventListener("status", ({ detail }) => detail.device === device.id && look(detail), { signal: listening.signal });
    if (calls.status(device.id)) look({ message: calls.status(device.id) });
    const late = setTimeout(() => reject(new Failure(calls.connected ? lacking : "relay-closed")), STATUS_MS);
    listening.signal.addEventListener("abort", () => clearTimeout(late));
  });
  return answer.finally(() => listening.abort());
}

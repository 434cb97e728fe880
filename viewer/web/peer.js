/** One call to one device: a signed offer goes out, and nothing that the device did not sign comes in. */

import { base64url, sha256, sign, typOf } from "./jws.js";
import { demandFingerprint, fingerprint, receiveH264 } from "./sdp.js";
import { Failure } from "./sentences.js";

const MOST_CANDIDATES = 30;
const MOST_WAITING = 64; // messages of a device in work; more are dropped, so that a flood costs no memory
const LAST_SEQ = 1_000_000; // the bye is signed beforehand, above every candidate: a page that goes has no time to sign
const REPEAT_MS = 500; // an offer that is lost, or comes while a camera is flooded, is sent again
const RELAY_REFUSALS = new Set([401, 403, 441]); // RFC 8489, section 14.8; RFC 8656, section 19
const WITHOUT_RELAY_MS = 4_000; // for a path that needs no relay, after the relay refused
const GATHER_MS = 300; // whatever is found by then stands in a move itself: it is sent again where it gets lost
const PATIENCE_MS = 5_000; // for a connection that says "disconnected", and may come back

/**
 * Events: `answered` with the seconds that the session may last, `connected`, `interrupted`, and once `over` with a Failure as its detail.
 * `stream` holds the picture, and may be shown once `connected` has come: before that the certificate is compared.
 */
export class Peer extends EventTarget {
  sid = base64url(crypto.getRandomValues(new Uint8Array(16)));
  stream = new MediaStream();
  verified = null; // {der, fingerprint} of the answer, once it is believed
  dtlsFingerprint = null; // as the browser reports it; null where it does not
  #device;
  #key;
  #send;
  #connection = null;
  #dtls = null;
  #connected = false;
  #over = false;
  #left = false; // bye was said
  #resumes = false;
  #regrant; // asks, once, for a fresh grant
  #hushed = false; // another Peer speaks in this session now
  #described = false; // what was found so far stands in the offer
  #seq = 0;
  #heardSeq = -1;
  #sent = 0;
  #added = 0;
  #offerHash = "";
  #bye = "";
  #outbox = Promise.resolve();
  #inbox = Promise.resolve();
  #waiting = 0;
  #early = []; // the device's candidates that came before its answer
  #patience = null;
  #repeating = null;
  #withoutRelay = null; // runs from the moment when a relay refused, until another one serves or there is a path

  /**
   * `send` takes a compact message and says whether it went out. A Peer that `resumes` another goes on in its session,
   * and speaks for both; `regrant` has the device known by a fresh grant, and gives a promise of whether that came.
   */
  constructor({ device, key, send, resumes = null, regrant = null }) {
    super();
    this.#device = device;
    this.#key = key;
    this.#send = send;
    if (!resumes) return;
    this.sid = resumes.sid;
    this.#resumes = resumes.#hushed = true;
    this.#regrant = regrant;
    this.#seq = resumes.#seq;
    this.#heardSeq = resumes.#heardSeq;
    this.#bye = resumes.#bye;
  }

  get over() {
    return this.#over;
  }

  get stats() {
    return this.#connection.getStats();
  }

  /** How much has come so far, of whatever kind: reports come also without pictures. */
  get bytesReceived() {
    return this.#connection.getStats().then((stats) => {
      const sum = { transport: 0, "candidate-pair": 0 };
      for (const { type, bytesReceived } of stats.values()) if (type in sum) sum[type] += bytesReceived || 0;
      return sum.transport || sum["candidate-pair"]; // Firefox before 154 counts the latter alone
    });
  }

  /** Send the offer: `grant` as the fleet gave it, `challenge` of the device's status. Rejects with a Failure. */
  async call({ grant, caller, iceServers, challenge, camera }) {
    this.#bye = await sign("bye", { sid: this.sid, seq: LAST_SEQ, reason: "left" }, this.#key);
    if (this.#over) return;
    const { connection, receiver } = this.#connect(iceServers);
    const { sdp } = await connection.createOffer();
    const offer = { device: this.#device.id, sid: this.sid, challenge, grant, sdp, reply: caller, stream: "main", camera };
    const compact = await sign("offer", offer, this.#key);
    this.#offerHash = await sha256(compact);
    if (this.#over) return;
    if (!this.#send(compact)) throw new Failure("relay-closed");
    this.#repeat(compact);
    this.#described = true;
    await connection.setLocalDescription({ type: "offer", sdp }); // starts gathering: candidates follow the offer
    this.#listen(receiver);
  }

  /** Offer another connection in the session that this resumes. */
  async move(iceServers) {
    const { connection, receiver } = this.#connect(iceServers);
    await connection.setLocalDescription();
    this.#listen(receiver);
    await gathered(connection, GATHER_MS);
    if (this.#over || this.#hushed) return;
    const { sdp } = connection.localDescription;
    this.#described = true;
    this.#seq += 1;
    const payload = { sid: this.sid, seq: this.#seq, sdp };
    this.#outbox = this.#outbox
      .then(() => sign("move", payload, this.#key))
      .then(async (compact) => {
        this.#offerHash = await sha256(compact);
        if (this.#over || this.#hushed) return;
        this.#send(compact);
        this.#repeat(compact);
      });
  }

  #connect(iceServers) {
    const connection = new RTCPeerConnection({ iceServers, bundlePolicy: "max-bundle" });
    this.#connection = connection;
    const { receiver } = receiveH264(connection);
    this.stream.addTrack(receiver.track);
    connection.onicecandidate = ({ candidate }) => this.#described && this.#trickle(candidate);
    connection.onicecandidateerror = ({ errorCode }) => RELAY_REFUSALS.has(errorCode) && this.#turnedAway();
    connection.onconnectionstatechange = () => this.#changed(connection.connectionState);
    return { connection, receiver };
  }

  #listen(receiver) {
    this.#dtls = receiver.transport;
    if (this.#dtls) this.#dtls.onstatechange = () => this.#transport();
  }

  /** Send the offer until it is answered: a camera takes each only once. */
  #repeat(compact) {
    this.#repeating = setInterval(() => {
      if (this.#over || this.#hushed || this.verified) clearInterval(this.#repeating);
      else this.#send(compact);
    }, REPEAT_MS);
  }

  /** Let the session go on under a fresh grant. */
  renew(grant) {
    this.#seq += 1;
    this.#follow("renew", { sid: this.sid, seq: this.#seq, grant });
  }

  /** Sign and send after all that was said before: the camera passes over what overtakes. */
  #follow(kind, payload) {
    this.#outbox = this.#outbox
      .then(() => sign(kind, payload, this.#key))
      .then((compact) => this.#over || this.#hushed || this.#send(compact));
  }

  /** Speak in the session again, in the place of the Peer that was to go on in it: that one goes, without a bye. */
  takeBack(other) {
    this.#hushed = false;
    this.#seq = other.#seq;
    this.#heardSeq = other.#heardSeq;
    other.#hushed = true;
    other.close();
  }

  /** Take a peeked message of this sid. */
  receive(message) {
    if (this.#waiting >= MOST_WAITING) return;
    this.#waiting += 1;
    this.#inbox = this.#inbox.then(() => this.#heard(message)).then(() => (this.#waiting -= 1));
  }

  /** End the call: the device is told where it can be, the picture is gone. Harmless twice. */
  close() {
    this.#hangUp();
    if (this.#hushed || this.#left || !(this.#offerHash || this.#resumes)) return;
    this.#left = true;
    this.#send(this.#bye);
  }

  #hangUp() {
    this.#over = true;
    clearTimeout(this.#patience);
    clearInterval(this.#repeating);
    clearTimeout(this.#withoutRelay);
    this.#connection?.close();
  }

  /** A move that comes to nothing ends itself, and no session. */
  #fail(failure) {
    if (this.#over) return;
    if (this.#resumes && !this.#connected) this.#hangUp();
    else this.close();
    this.dispatchEvent(new CustomEvent("over", { detail: failure }));
  }

  async #heard(message) {
    const kind = ["answer", "candidate", "bye"].find((one) => typOf(one) === message.typ);
    if (this.#over || !kind || (kind === "answer" && this.verified)) return;
    try {
      const { payload, der } = await this.#believed(message, kind);
      if (this.#over || !payload) return;
      if (kind === "answer") await this.#answer(payload, der);
      else if (payload.seq > this.#heardSeq) {
        this.#heardSeq = payload.seq;
        if (kind === "bye") this.#fail(new Failure(payload.reason, "the device said bye"));
        else await this.#candidate(payload);
      }
    } catch (cause) {
      if (kind !== "answer") return; // a candidate or bye that is not the device's is as good as none
      const known = cause instanceof Failure && ["wrong-fingerprint", "bad-answer"].includes(cause.code);
      this.#fail(known ? cause : new Failure("untrusted-answer", cause.message, { cause }));
    }
  }

  /**
   * Believe what the device signed. What answers a move may be signed with a certificate that was renewed since the last
   * grant: a fresh one tells. Where none comes there is no answer either, and another move follows.
   */
  async #believed(message, kind) {
    try {
      return await this.#device.believe(message, kind);
    } catch (cause) {
      if (kind !== "answer" || !this.#resumes || cause.code !== "untrusted") throw cause;
    }
    const regrant = this.#regrant;
    this.#regrant = null; // whoever forges an answer makes one grant of it, and no more
    return (await regrant?.()) ? this.#device.believe(message, kind) : {};
  }

  async #answer({ offer_sha256, sdp, session_s: sessionS }, der) {
    if (this.#resumes && offer_sha256 !== this.#offerHash) return; // to an offer before this one
    if (offer_sha256 !== this.#offerHash) throw new Failure("untrusted-answer", "it answers another offer");
    await demandFingerprint(sdp, der);
    this.verified = { der, fingerprint: await fingerprint(der) };
    if (this.#over) return;
    try {
      await this.#connection.setRemoteDescription({ type: "answer", sdp });
    } catch (cause) {
      throw new Failure("bad-answer", cause.message, { cause });
    }
    if (this.#over) return;
    this.dispatchEvent(new CustomEvent("answered", { detail: { sessionS } }));
    for (const candidate of this.#early.splice(0)) await this.#add(candidate);
  }

  async #candidate({ candidate, mid, mline }) {
    if (this.#added >= MOST_CANDIDATES) return;
    this.#added += 1;
    const given = { candidate, sdpMid: mid || null, sdpMLineIndex: mline };
    if (this.verified) await this.#add(given);
    else this.#early.push(given);
  }

  /** One candidate that the browser cannot use does not end a call that others may carry. */
  #add(candidate) {
    return this.#connection.addIceCandidate(candidate).catch((cause) => console.warn("camward: candidate", cause.message));
  }

  /** A relay does not take this call's credential: the browser itself would go on in silence. */
  #turnedAway() {
    if (this.#connected || this.#over) return;
    this.#withoutRelay ??= setTimeout(() => this.#fail(new Failure("relay-credential")), WITHOUT_RELAY_MS);
  }

  #trickle(found) {
    if (found?.type === "relay") clearTimeout(this.#withoutRelay);
    if (found?.protocol === "tcp" || (found?.candidate && this.#sent >= MOST_CANDIDATES)) return; // devices speak UDP
    if (found?.candidate === "") return; // the end of one generation; the null that follows ends them all
    this.#sent += 1;
    this.#seq += 1;
    const payload = {
      sid: this.sid,
      seq: this.#seq,
      candidate: found?.candidate ?? "",
      mid: found?.sdpMid ?? "0",
      mline: found?.sdpMLineIndex ?? 0,
    };
    this.#follow("candidate", payload);
  }

  async #changed(state) {
    clearTimeout(this.#patience);
    if (state === "failed") this.#lost();
    if (state === "disconnected") {
      this.#patience = setTimeout(() => this.#lost(), PATIENCE_MS);
      this.dispatchEvent(new Event("interrupted"));
    }
    if (state !== "connected") return;
    try {
      this.dtlsFingerprint = await remoteFingerprint(this.#connection);
      if (this.dtlsFingerprint && this.dtlsFingerprint !== this.verified.fingerprint) throw new Failure("wrong-fingerprint");
      if (this.#over) return;
      this.#connected = true;
      clearTimeout(this.#withoutRelay);
      this.dispatchEvent(new Event("connected"));
    } catch (cause) {
      this.#fail(cause instanceof Failure ? cause : new Failure("ice-failed", cause.message, { cause }));
    }
  }

  /** A device that goes ends DTLS; its bye may be lost with the socket. */
  #transport() {
    if (this.#dtls.state === "closed") this.#fail(new Failure("left", "DTLS was closed"));
    if (this.#dtls.state === "failed") this.#lost();
  }

  /** DTLS that fails before it ever stood was not done with the verified certificate. */
  #lost() {
    const forged = !this.#connected && this.#dtls?.state === "failed";
    this.#fail(new Failure(forged ? "wrong-fingerprint" : "ice-failed"));
  }
}

/** Wait until all candidates are found, or so long. */
function gathered(connection, withinMs) {
  return new Promise((resolve) => {
    setTimeout(resolve, withinMs);
    connection.addEventListener("icegatheringstatechange", () => connection.iceGatheringState === "complete" && resolve());
  });
}

/** SHA-256 of the certificate that the other side showed in DTLS, or null where the browser does not tell. */
async function remoteFingerprint(connection) {
  const stats = await connection.getStats();
  for (const entry of stats.values()) {
    const shown = entry.type === "transport" && stats.get(entry.remoteCertificateId);
    if (shown?.fingerprintAlgorithm === "sha-256") return shown.fingerprint.toUpperCase();
  }
  return null;
}
